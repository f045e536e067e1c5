// Draws props.value = {form, agreed, reply} and reports what the visitor says about answers and sources ("submit").
// Runs once per page as the body of a function of (element, trigger, props, watch); see gr.HTML(js_on_load=...).
// Buttons with data-feedback anywhere on the page open the dialog; onboarding/ui/page/feedback.py draws its HTML.

const desk = element.querySelector(".desk");
const given = new Map(); // turn id -> "up" or "down", as the server confirmed
const find = (selector) => desk.querySelector(selector);
const READ_MS = 6000;
let about = null; // {kind, turn, number} of the open dialog
let opener = null; // gets the focus back
let form = "";
let heard = "";
let fading = 0;

function draw() {
  const { form: html = "", agreed = false, reply = null } = props.value || {};
  if (html !== form && !find("dialog")?.open) {
    form = html;
    desk.innerHTML = html;
    find("dialog").addEventListener("close", () => opener?.focus());
  }
  document.documentElement.classList.add("feedback");
  find("[data-feedback=forget]").hidden = !agreed;
  find(".agree").hidden = agreed;
  if (reply && reply.id !== heard) {
    heard = reply.id;
    take(reply);
  }
}

function take(reply) {
  find("[data-end=send]").disabled = false;
  if (reply.ok && (reply.kind === "up" || reply.kind === "down")) given.set(reply.turn, reply.kind);
  if (reply.ok && reply.kind === "forget") given.clear();
  mark();
  if (!reply.ok && find("dialog").open) {
    find(".reply").textContent = reply.text;
  } else if (reply.link) {
    show({ done: true });
    find(".reply").textContent = reply.text;
    find(".issue a").href = reply.link;
    find(".issue a").focus();
  } else {
    find("dialog").close();
    say(reply.text);
  }
}

function say(text) {
  find(".kept").textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => (find(".kept").textContent = ""), READ_MS);
}

// The transcript is drawn by another script, and again when a turn is no longer the last.
function mark() {
  for (const button of document.querySelectorAll(".thumb")) {
    const pressed = String(given.get(button.closest(".turn")?.dataset.turn) === button.dataset.feedback);
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  }
}

function show({ done = false } = {}) {
  const kind = about.kind;
  for (const title of desk.querySelectorAll("[data-about]")) title.hidden = title.dataset.about !== kind;
  find("fieldset").hidden = kind === "up" || kind === "wish";
  find(".publish").hidden = kind !== "down";
  find("[data-words=comment]").hidden = kind === "wish";
  find("[data-words=wish]").hidden = kind !== "wish";
  find(".ask").hidden = done;
  find(".issue").hidden = !done;
  find("[data-end=send]").hidden = done;
  find(".reply").textContent = "";
}

function open(button) {
  opener = button;
  say("");
  find("textarea").value = "";
  for (const box of desk.querySelectorAll(".agree input")) box.checked = false;
  for (const radio of desk.querySelectorAll("[type=radio]")) radio.checked = false;
  show();
  find("dialog").showModal();
  (props.value.agreed ? find(about.kind === "up" || about.kind === "wish" ? "textarea" : "[type=radio]") : find(".agree input")).focus();
}

function send(more = {}) {
  trigger("submit", { ...about, ...more });
}

function sendForm() {
  const field = find("textarea");
  const lacking = !props.value.agreed && !find(".agree input").checked ? find(".agree input") : about.kind === "wish" && !field.value.trim() ? field : null;
  if (lacking) {
    lacking.setAttribute("aria-invalid", "true");
    lacking.focus();
    return;
  }
  find("[data-end=send]").disabled = true;
  const reason = desk.querySelector("[type=radio]:checked")?.value ?? "";
  send({ agreed: props.value.agreed || find(".agree input").checked, reason, comment: field.value.trim(), publish: find(".publish input").checked });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-feedback]");
  if (!button) return;
  const kind = button.dataset.feedback;
  const number = Number(button.closest(".source")?.dataset.n ?? 0);
  about = { kind, turn: button.closest(".turn")?.dataset.turn ?? "", number };
  opener = button;
  if (kind === "forget" || (kind === "up" && props.value.agreed)) send();
  else open(button);
});

desk.addEventListener("click", (event) => {
  const end = event.target.closest("[data-end]")?.dataset.end;
  if (end === "close") find("dialog").close();
  if (end === "send") sendForm();
});
desk.addEventListener("input", (event) => event.target.removeAttribute("aria-invalid"));
// Escape in the dialog must not stop an answer under way; the browser closes the dialog by itself.
desk.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && find("dialog").open) event.stopPropagation();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && find("dialog").open) sendForm();
});

new MutationObserver(mark).observe(document.body, { childList: true, subtree: true });
watch("value", draw);
draw();
