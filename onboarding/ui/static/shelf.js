// The conversations that this browser keeps: an entry of localStorage for each, so that two tabs never write over each
// other's. In one conversation their turns are put together by id. Which one is on the page is the tab's own affair.

const ENTRY = "qubinode-conversation:";
const OPEN = "qubinode-open"; // id of the one on the page: the tab's in sessionStorage, the last one in localStorage
const DRAFT = "qubinode-draft"; // words that a reload found in the box, or on their way
const MOST = 100; // conversations; the text `kept_here` says so
const MOST_SENT = 120_000; // characters of a conversation that travel with a question; the server takes 256 KiB
const TITLE_LENGTH = 60;

const parsed = new Map(); // id -> {text, entry}: the list is drawn while an answer streams

// Returns the entry of a text; null for what somebody or something else wrote there: one such must not stop the page.
function entryIn(id, text) {
  try {
    const { title = "", at = 0, turns } = JSON.parse(text);
    const texts = (turn) => [turn.id, turn.question, turn.answer].every((text) => typeof text === "string");
    const sound = turns.length && turns.every((turn) => texts(turn) && turn.id && turn.question);
    return sound ? { id, title: String(title), at: Number(at), turns } : null;
  } catch {
    return null;
  }
}

const shelf = {
  // Returns the entry of an id, null where there is none that can be read.
  read(id) {
    const text = localStorage.getItem(ENTRY + id);
    if (!id || !text) return null;
    if (parsed.get(id)?.text !== text) parsed.set(id, { text, entry: entryIn(id, text) });
    return parsed.get(id).entry;
  },

  // Returns all entries, the latest first.
  list() {
    const names = Array.from({ length: localStorage.length }, (_, at) => localStorage.key(at));
    const ids = names.filter((name) => name.startsWith(ENTRY)).map((name) => name.slice(ENTRY.length));
    return ids.map(shelf.read).filter(Boolean).sort((one, other) => other.at - one.at);
  },

  // Puts the turns on the page to those that are kept, without the refused ones.
  keep(id, turns, refused) {
    const old = shelf.read(id);
    const before = (old?.turns ?? []).filter((turn) => !refused.includes(turn.id));
    const together = joined(before, turns);
    if (!together.length || JSON.stringify(together) === JSON.stringify(old?.turns)) return;
    shelf.write({ id, title: old?.title ?? "", at: Date.now(), turns: together });
    if (!old) for (const entry of shelf.list().slice(MOST)) shelf.forget(entry.id);
  },

  write(entry) {
    try {
      localStorage.setItem(ENTRY + entry.id, JSON.stringify(entry));
    } catch {} // the storage is full; page.js has noted it, and the page says so
  },

  rename(id, title) {
    const entry = shelf.read(id);
    const words = title.trim().split(/\s+/).join(" ").slice(0, TITLE_LENGTH);
    if (entry && words) shelf.write({ ...entry, title: words });
  },

  forget(id) {
    localStorage.removeItem(ENTRY + id);
  },

  title(entry) {
    const words = entry.title || entry.turns[0].question.trim().split(/\s+/).join(" ");
    return words.length <= TITLE_LENGTH ? words : words.slice(0, TITLE_LENGTH - 1).trimEnd() + "…";
  },

  // Returns what the server may know of a conversation: all of it, or the latest turns of a very long one.
  sent(id) {
    const entry = shelf.read(id);
    if (!entry) return null;
    let left = MOST_SENT;
    const latest = [...entry.turns].reverse().filter((turn) => (left -= JSON.stringify(turn).length) > 0);
    return { id, turns: latest.reverse() };
  },

  keepDraft(text) {
    try {
      sessionStorage.setItem(DRAFT, text);
    } catch {}
  },

  takeDraft() {
    const text = sessionStorage.getItem(DRAFT) ?? "";
    sessionStorage.removeItem(DRAFT);
    return text;
  },

  get open() {
    return sessionStorage.getItem(OPEN) ?? localStorage.getItem(OPEN) ?? "";
  },

  set open(id) {
    for (const store of [sessionStorage, localStorage]) {
      try {
        store.setItem(OPEN, id);
      } catch {}
    }
  },
};

const whole = (turn) => !["cancelled", "error"].includes(turn.reason ?? "stop");

// Returns both lists as one: of a turn in both the fuller one, and none that another replaces.
function joined(before, turns) {
  const together = new Map(before.map((turn) => [turn.id, turn]));
  for (const turn of turns) {
    const known = together.get(turn.id);
    const fuller = !known || whole(turn) > whole(known) || (whole(turn) === whole(known) && turn.answer.length >= known.answer.length);
    if (fuller) together.set(turn.id, turn);
  }
  const replaced = new Set([...together.values()].flatMap((turn) => turn.replaces ?? []));
  return [...together.values()].filter((turn) => !replaced.has(turn.id));
}
