// Draws props.value, which ui/chat/tab.py makes, keeps its conversation on the shelf of shelf.js, and reports what the
// visitor asks ("submit") and which conversation is wanted ("input"). The composer is its own too: a question leaves the
// box in the moment it is sent, so that what is typed behind it stays.
// Runs once per page as the body of a function of (element, trigger, props, watch); see gr.HTML(js_on_load=...).
// The server escapes and cleans all HTML in props.value (ui/chat/render.py, ui/kit/markdown.py).

const SLOTS = ["question", "route", "steps", "evidence", "answer", "notices", "meta", "next"];
const NEAR_BOTTOM_PX = 120;
const SETTLE_MS = 800; // a tab looks at what another one adds once that rests
const MOST_TOLD = 4; // times that the server is told which conversation is wanted
const TWICE_MS = 600; // a second click within this was meant for Send, where Stop stands by now
const [saved, log, empty, status] = ["saved", "log", "empty", "sr-only"].map((name) => element.querySelector("." + name));
const box = () => document.querySelector("#question textarea");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const shown = { log, drawn: new Map() }; // the conversation: turn id -> {node, slots: {name: {node, html}}}
const played = { log: element.querySelector(".played"), drawn: new Map() }; // the demonstration's, drawn the same way
let aside = null; // {text, from, to} of the visitor's words in the box while the demonstration uses it
let wasBusy = false;
let here = shelf.open; // id of the conversation on the page
let left = ""; // id of the one that was on it before
let told = 0; // times that the server was told so
const forgotten = new Set(); // ids that the visitor had deleted
let stagedTurns = []; // of the demonstration
let asked = null; // {number, text} of the question on its way to the server
let clickedAt = -Infinity; // when Send was clicked last
let returned = ""; // id of the words that came back last
let note = ""; // key of what the composer itself has to say
let rest = 0;
let again = 0;
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

function build({ log, drawn }, turn) {
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
  drawn.set(turn.id, { node, slots });
  return node;
}

// Draws the turns into their log and returns the node that is new, if any.
function drawTurns(into, turns, busy) {
  const { log, drawn } = into;
  const ids = new Set(turns.map((turn) => turn.id));
  for (const [id, { node }] of drawn) if (!ids.has(id)) (node.remove(), drawn.delete(id));
  let added = null;
  for (const turn of turns) {
    if (!drawn.has(turn.id)) added = build(into, turn);
    const { node, slots } = drawn.get(turn.id);
    for (const name of SLOTS) put(slots[name], turn.parts[name] || "");
    node.classList.toggle("last", turn === turns.at(-1));
    node.setAttribute("aria-busy", String(busy && turn === turns.at(-1)));
  }
  // Another tab's turns may stand before those that are drawn; moving a node costs its focus, so only then.
  if (turns.some((turn, at) => log.children[at]?.dataset.turn !== turn.id)) log.append(...turns.map((turn) => drawn.get(turn.id).node));
  return added;
}

function draw() {
  const value = props.value || {};
  const { turns = [], empty: emptyHtml = "", announcement = "", words = {}, busy = false } = value;
  const following = innerHeight + scrollY >= document.documentElement.scrollHeight - NEAR_BOTTOM_PX;
  const added = drawTurns(shown, turns, busy);
  put(fixed.empty, turns.length ? "" : emptyHtml);
  log.setAttribute("aria-label", words.conversation || "");
  document.documentElement.style.setProperty("--host-label", JSON.stringify(`${words.simulated_host}:`)); // for page.css
  if (status.textContent !== announcement) status.textContent = announcement;
  document.documentElement.classList.toggle("answering", busy);
  if (value.heard && value.heard === asked?.number) asked = null;
  if (value.back?.id && value.back.id !== returned) giveBack(value.back.text);
  returned = value.back?.id ?? "";
  if (left && value.conversation === left) insist();
  if (!busy && note === "ask_busy") note = "";
  keep();
  drawBar();
  drawHint();
  if (added && !demo.playing) added.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
  else if (!demo.playing && following && (busy || wasBusy)) scrollTo(0, document.documentElement.scrollHeight);
  if (wasBusy && !busy) catchUp(); // what another tab added meanwhile
  wasBusy = busy;
}

function keep() {
  const { conversation = "", turns = [], refused = [] } = props.value || {};
  if (!conversation || forgotten.has(conversation)) return;
  if (conversation !== left && conversation !== here) shelf.open = here = conversation;
  shelf.keep(conversation, turns.map((turn) => turn.kept), refused);
}

// Another tab may add to the conversation on this page, finish an answer of it, or forget it.
function catchUp() {
  clearTimeout(rest);
  rest = setTimeout(() => {
    const { conversation, turns = [], busy } = props.value || {};
    if (!conversation || busy || asked) return;
    const known = new Map(turns.map((turn) => [turn.id, turn.kept]));
    const entry = shelf.read(conversation);
    if (!entry) forget(conversation);
    else if (JSON.stringify(joined(entry.turns, [...known.values()])) !== JSON.stringify([...known.values()])) look();
  }, SETTLE_MS);
}

const look = () => trigger("input", { kind: "look", conversation: shelf.sent(here) });

function leave(id) {
  left = here === id ? "" : here;
  shelf.open = here = id;
  told = 0;
  tell();
}

function tell() {
  told++;
  trigger("input", here ? { kind: "open", conversation: shelf.sent(here) } : { kind: "new" });
}

// The server may draw the conversation that is left once more: before it hears of that, which passes by itself, or
// after a look that crossed it on the way.
function insist() {
  clearTimeout(again);
  again = setTimeout(() => props.value?.conversation === left && told < MOST_TOLD && tell(), SETTLE_MS);
}

function forget(id) {
  forgotten.add(id);
  shelf.forget(id);
  if (id === here) leave("");
  else drawBar();
}

const escaped = (text) => Object.assign(document.createElement("i"), { textContent: text }).innerHTML.replaceAll('"', "&quot;");
const quiet = (act, label, id) => `<button type="button" class="quiet" data-act="${act}" data-id="${id}">${escaped(label)}</button>`;

// Draws the bar above the conversation: its title, start anew, export, and the earlier ones.
function drawBar() {
  if (!props.value?.words || saved.querySelector(".editing")) return;
  const { turns, words } = props.value;
  const entries = shelf.list();
  const open = entries.find((entry) => entry.id === here);
  const rows = entries.map((entry) => {
    const id = escaped(entry.id);
    const current = entry === open ? ' aria-current="true"' : "";
    const title = `<button type="button" data-act="open" data-id="${id}" dir="auto"${current}>${escaped(shelf.title(entry))}</button>`;
    return `<div class="row" data-id="${id}">${title}${quiet("rename", words.rename, id)}${quiet("forget", words.forget, id)}</div>`;
  });
  const where = words[storageFails() ? "kept_nowhere" : "kept_here"];
  const menu = `<details class="menu"><summary class="quiet">${escaped(words.earlier)}</summary><div class="sheet"><p>${escaped(where)}</p>${rows.join("")}</div></details>`;
  const started = turns.length ? quiet("new", words.new_chat, "") + quiet("export", words.export, "") : "";
  const name = `<h2 class="name" dir="auto">${turns.length > 1 && open ? escaped(shelf.title(open)) : ""}</h2>`;
  const listOpen = saved.querySelector("details[open]") !== null;
  put(fixed.saved, started || rows.length ? `${name}<span class="actions">${started}${rows.length ? menu : ""}</span>` : "");
  if (listOpen) saved.querySelector("details")?.setAttribute("open", "");
}

// Says below the composer why a question was not taken, else its keys; and whether this browser keeps anything.
function drawHint() {
  const { words, keys = "", said = "" } = props.value || {};
  const [line, unkept] = [".hint", ".unkept"].map((name) => document.querySelector(`#hint ${name}`));
  if (!line || !words) return;
  const text = note ? words[note] : said;
  if (line.dataset.text !== text || !text) {
    line.dataset.text = text;
    line.classList.toggle("warning", Boolean(text));
    if (text) line.setAttribute("role", "alert");
    else line.removeAttribute("role");
    line.innerHTML = text ? escaped(text) : `<span class="keys">${keys}</span>`;
  }
  unkept.textContent = storageFails() ? words.kept_nowhere : "";
}

const storageFails = () => document.documentElement.classList.contains("forgetful"); // page.js sees to it

const say = (key) => props.value.words[key];
const turnOf = (node) => props.value.turns.find((turn) => turn.id === node.closest(".turn")?.dataset.turn);

// Sends a request, unless one is under way; the words of a written one leave the box.
function ask(request) {
  if (props.value?.busy || asked) return false;
  const number = Math.random().toString(36).slice(2);
  asked = { number, text: request.text ?? "" };
  note = "";
  trigger("submit", { ...request, number, conversation: shelf.sent(here) });
  return true;
}

function send() {
  const text = box().value;
  if (!text.trim()) note = asked || props.value?.busy ? "" : "ask_empty"; // the second click of two has nothing to send
  else if (ask({ kind: "question", text })) fill("");
  else note = "ask_busy";
  drawHint();
}

function fill(text) {
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true })); // Gradio's field learns it from here
}

const typed = () => aside?.text ?? box()?.value;

// Puts words that were not taken before whatever was typed meanwhile.
function giveBack(text) {
  if (!text || !box()) return;
  const words = [text, typed()].filter(Boolean).join("\n");
  if (aside) aside.text = words;
  else fill(words);
}

// What the demonstration (static/demo.js) may do here. Its turns are never `props.value`'s, so nothing keeps them.
demo.stage = {
  box,
  words: () => props.value?.words,
  settled: () => props.value?.answered,
  open: (tab) => trigger("select", { tab }),
  begin() {
    aside = { text: box().value, from: box().selectionStart, to: box().selectionEnd };
    box().readOnly = true;
    fill("");
  },
  type: fill,
  // frame: {id, parts, question}: the parts of a turn that changed; a question leaves the box with its turn's first frame.
  show({ id, parts, question }) {
    const turn = stagedTurns.find((one) => one.id === id);
    if (turn) turn.parts = { ...turn.parts, ...parts };
    else stagedTurns.push({ id, parts });
    if (question) fill("");
    drawTurns(played, stagedTurns, false);
  },
  end() {
    drawTurns(played, (stagedTurns = []), false);
    if (!aside || !box()) return;
    const { text, from, to } = aside;
    aside = null;
    box().readOnly = false;
    fill(text);
    box().setSelectionRange(from, to);
  },
};

// The question never arrived, or its answer broke off on the way: the server says what there is, once it can.
addEventListener("unheard", () => {
  if (asked) giveBack(asked.text);
  asked = null;
  look();
});

for (const event of ["online", "pageshow"]) addEventListener(event, () => props.value?.busy && look());
document.addEventListener("visibilitychange", () => !document.hidden && props.value?.busy && look());

addEventListener("storage", ({ key }) => {
  if (key !== null && !key.startsWith(ENTRY)) return;
  drawBar();
  if (key === ENTRY + here) catchUp();
});

function copied(button, text) {
  button.dataset.label ??= button.textContent; // a second click within the time finds another one
  const show = (word) => {
    button.textContent = word;
    clearTimeout(button.back);
    button.back = setTimeout(() => (button.textContent = button.dataset.label), 1600);
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
  const accept = (text) => ask({ kind: "edit", turn: turn.id, text });
  inPlace(button.closest(".question"), field, turn.question, say("edit_field"), accept);
}

function rename(button) {
  const row = button.closest(".row");
  const title = row.querySelector("[data-act=open]").textContent;
  const accept = (text) => (shelf.rename(row.dataset.id, text), drawBar());
  inPlace(row, document.createElement("input"), title, say("rename_field"), accept);
}

function download() {
  const entry = shelf.read(here);
  const title = entry ? shelf.title(entry) : "";
  const said = props.value.turns.map((turn) => `## ${turn.question}\n\n${turn.text.trim()}\n\n${turn.sources}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`# ${title}\n\n${said.join("\n")}`], { type: "text/markdown" }));
  link.download = "qubinode-chat.md";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const actions = {
  ask: (button) => ask({ kind: "question", text: button.dataset.text }),
  route: (button) => ask({ kind: "route", turn: turnOf(button).id, route: button.dataset.route }),
  retry: (button) => ask({ kind: "retry", turn: turnOf(button).id }),
  edit,
  copy: (button) => copied(button, turnOf(button).text),
  "copy-code": (button) => copied(button, button.parentElement.querySelector("code").textContent),
  export: download,
  new: () => leave(""),
  open: (button) => leave(button.dataset.id),
  rename,
  tab: (button) => trigger("select", { tab: button.dataset.tab }),
  forget: (button) => forget(button.dataset.id),
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

// Captured, so that Gradio's field never sees the Enter that sends.
addEventListener(
  "keydown",
  (event) => {
    if (event.target !== box()) return;
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) send();
  },
  true,
);
addEventListener(
  "click",
  (event) => {
    if (event.target.closest("#send")) {
      clickedAt = performance.now();
      send();
    } else if (event.target.closest("#stop") && performance.now() - clickedAt < TWICE_MS) event.stopPropagation();
  },
  true,
);
document.addEventListener("input", (event) => {
  if (event.target !== box() || note !== "ask_empty") return;
  note = "";
  drawHint();
});

// The composer is another component, drawn before or after this one.
const settle = () => {
  if (!box() || !document.querySelector("#hint .hint")) return requestAnimationFrame(settle);
  drawHint();
  giveBack(shelf.takeDraft());
};
addEventListener("pagehide", () => shelf.keepDraft([asked?.text, typed()].filter(Boolean).join("\n")));

watch("value", draw);
draw();
settle();
look(); // what the browser keeps, and the page in the visitor's language
