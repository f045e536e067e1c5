// Draws props.value = {turns, empty, saved, announcement, words, busy} and reports what the visitor asks ("submit") and
// does with the list of conversations ("input").
// Runs once per page as the body of a function of (element, trigger, props, watch); see gr.HTML(js_on_load=...).
// The server escapes and cleans all HTML in props.value (ui/chat/render.py, ui/kit/markdown.py).

const SLOTS = ["question", "route", "steps", "evidence", "answer", "notices", "meta", "next"];
const NEAR_BOTTOM_PX = 120;
const [saved, log, empty, status] = ["saved", "log", "empty", "sr-only"].map((name) => element.querySelector("." + name));
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const drawn = new Map(); // turn id -> {node, slots: {name: {node, html}}}
let wasBusy = false;
const fixed = { saved: { node: saved, html: "" }, empty: { node: empty, html: "" } };

// Keeps the leading nodes that did not change: while text streams, finished paragraphs and a selection in them stay.
function put(slot, html) {
  if (slot.html === html) return;
  slot.html = html;
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const copy of template.content.querySelectorAll(".copy-code")) copy.textContent = say("copy");
  const unfolded = [...slot.node.querySelectorAll(".left-out")].map((fold) => fold.open); // stays open while text streams
  template.content.querySelectorAll(".left-out").forEach((fold, at) => (fold.open = unfolded[at] ?? false));
  const fresh = [...template.content.childNodes];
  const old = slot.node.childNodes;
  let same = 0;
  while (same < fresh.length && same < old.length && old[same].isEqualNode(fresh[same])) same++;
  while (old.length > same) slot.node.lastChild.remove();
  slot.node.append(...fresh.slice(same));
}

function build(turn) {
  const node = document.createElement("article");
  node.className = "turn";
  node.dataset.turn = turn.id;
  const slots = {};
  for (const name of SLOTS) {
    const slot = document.createElement("div");
    slot.className = name;
    node.append(slot);
    slots[name] = { node: slot, html: "" };
  }
  log.append(node);
  return { node, slots };
}

function draw() {
  const { turns = [], empty: emptyHtml = "", saved: savedHtml = "", announcement = "", words = {}, busy = false } = props.value || {};
  const following = innerHeight + scrollY >= document.documentElement.scrollHeight - NEAR_BOTTOM_PX;
  const ids = new Set(turns.map((turn) => turn.id));
  for (const [id, { node }] of drawn) if (!ids.has(id)) (node.remove(), drawn.delete(id));
  let added = null;
  for (const turn of turns) {
    if (!drawn.has(turn.id)) drawn.set(turn.id, (added = build(turn)));
    const { node, slots } = drawn.get(turn.id);
    for (const name of SLOTS) put(slots[name], turn.parts[name] || "");
    node.classList.toggle("last", turn === turns.at(-1));
    node.setAttribute("aria-busy", String(busy && turn === turns.at(-1)));
  }
  const listOpen = saved.querySelector("details[open]") !== null;
  put(fixed.saved, savedHtml);
  if (listOpen) saved.querySelector("details")?.setAttribute("open", "");
  put(fixed.empty, turns.length ? "" : emptyHtml);
  log.setAttribute("aria-label", words.conversation || "");
  document.documentElement.style.setProperty("--host-label", JSON.stringify(`${words.simulated_host}:`)); // for page.css
  if (status.textContent !== announcement) status.textContent = announcement;
  document.documentElement.classList.toggle("answering", busy);
  if (added) added.node.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
  else if (following && (busy || wasBusy)) scrollTo(0, document.documentElement.scrollHeight);
  wasBusy = busy;
}

const say = (key) => props.value.words[key];
const turnOf = (node) => props.value.turns.find((turn) => turn.id === node.closest(".turn")?.dataset.turn);

function copied(button, text) {
  const label = button.textContent;
  const show = (word) => {
    button.textContent = word;
    setTimeout(() => (button.textContent = label), 1600);
  };
  navigator.clipboard.writeText(text).then(() => show(say("copied")), () => show(say("copy_blocked")));
}

// Puts a text field in place of `slot`'s content; Enter hands its text to `done`, Escape leaves everything as it was.
function inPlace(slot, field, text, label, done) {
  const before = [...slot.childNodes];
  field.className = "editing";
  field.value = text;
  field.setAttribute("aria-label", label);
  field.addEventListener("keydown", (event) => {
    const accept = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    if (!accept && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    slot.replaceChildren(...before);
    if (accept && field.value.trim()) done(field.value);
  });
  slot.replaceChildren(field);
  field.focus();
}

function edit(button) {
  const turn = turnOf(button);
  const field = document.createElement("textarea");
  field.rows = Math.min(8, turn.question.split("\n").length + 1);
  const ask = (text) => trigger("submit", { kind: "edit", turn: turn.id, text });
  inPlace(button.closest(".question"), field, turn.question, say("edit_field"), ask);
}

function rename(button) {
  const row = button.closest(".row");
  const title = row.querySelector("[data-act=open]").textContent;
  const accept = (text) => trigger("input", { kind: "rename", id: row.dataset.id, title: text });
  inPlace(row, document.createElement("input"), title, say("rename_field"), accept);
}

function download(title) {
  const said = props.value.turns.map((turn) => `## ${turn.question}\n\n${turn.text.trim()}\n\n${turn.sources}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`# ${title}\n\n${said.join("\n")}`], { type: "text/markdown" }));
  link.download = "qubinode-chat.md";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const actions = {
  ask: (button) => trigger("submit", { kind: "question", text: button.dataset.text }),
  route: (button) => trigger("submit", { kind: "route", turn: turnOf(button).id, route: button.dataset.route }),
  retry: (button) => trigger("submit", { kind: "retry", turn: turnOf(button).id }),
  edit,
  copy: (button) => copied(button, turnOf(button).text),
  "copy-code": (button) => copied(button, button.parentElement.querySelector("code").textContent),
  export: (button) => download(button.dataset.title),
  new: () => trigger("input", { kind: "new" }),
  open: (button) => trigger("input", { kind: "open", id: button.dataset.id }),
  rename,
  tab: (button) => trigger("select", { tab: button.dataset.tab }),
  forget: (button) => trigger("input", { kind: "forget", id: button.dataset.id }),
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (!button || !element.contains(button)) return;
  if (button.dataset.act !== "rename") button.closest("details.menu")?.removeAttribute("open");
  actions[button.dataset.act]?.(button);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  const menuOpen = document.querySelector("details.menu[open]"); // page.js closes it
  if (!menuOpen && props.value?.busy) document.querySelector("#stop")?.click();
});

watch("value", draw);
draw();
