// Sends the typed text once typing pauses, and draws an answer only if it belongs to the last text: answers may
// overtake each other. Runs once per page as the body of a function of (element, trigger, props, watch).
const PAUSE_MS = 120;
const found = element.querySelector(".found");
let wanted = null; // what was typed last
let pause = 0;

function draw() {
  const { query = "", html = "" } = props.value || {};
  if (wanted === null || query === wanted) found.innerHTML = html; // escaped and cleaned on the server
}

document.addEventListener("input", (event) => {
  if (!event.target.closest("#search-box")) return;
  wanted = event.target.value;
  clearTimeout(pause);
  pause = setTimeout(() => trigger("input", { text: wanted }), PAUSE_MS);
});

watch("value", draw);
draw();
