// Gradio's parts read the browser's storage unguarded. Where it is closed (blocked cookies, a private window, a frame of
// another site) a memory that ends with the page takes its place. The class "forgetful" says that something written last
// does not outlast the page: there, and where a storage is full.
(() => {
  const root = document.documentElement;
  const memory = () => {
    const kept = new Map();
    return {
      get length() {
        return kept.size;
      },
      key: (at) => [...kept.keys()][at] ?? null,
      getItem: (key) => kept.get(String(key)) ?? null,
      setItem: (key, value) => void kept.set(String(key), String(value)),
      removeItem: (key) => void kept.delete(String(key)),
      clear: () => kept.clear(),
    };
  };
  for (const name of ["localStorage", "sessionStorage"]) {
    try {
      window[name].getItem("");
    } catch {
      Object.defineProperty(window, name, { value: memory(), configurable: true });
      if (name === "localStorage") root.classList.add("forgetful");
    }
  }
  if (root.classList.contains("forgetful")) return;
  const lost = new Map(); // store and key -> [store, key, value] of what found no room; tried again when there may be some
  const { setItem, removeItem } = Storage.prototype;
  const name = (store, key) => `${store === localStorage} ${key}`;
  const mend = () => {
    try {
      for (const [entry, [store, key, value]] of lost) {
        setItem.call(store, key, value);
        lost.delete(entry);
      }
    } catch {} // still full
    root.classList.toggle("forgetful", lost.size > 0);
  };
  Storage.prototype.setItem = function (key, value) {
    lost.set(name(this, key), [this, key, value]);
    try {
      setItem.call(this, key, value);
      lost.delete(name(this, key));
    } finally {
      mend();
    }
  };
  Storage.prototype.removeItem = function (key) {
    lost.delete(name(this, key));
    removeItem.call(this, key);
    mend();
  };
})();

// A page over plain http has no clipboard; then what browsers had before it copies, for Gradio's own buttons too.
(() => {
  const byCommand = (text) => {
    const field = document.createElement("textarea");
    const { activeElement: focused } = document;
    field.value = text;
    field.style.cssText = "position:fixed;top:0;opacity:0";
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    focused?.focus({ preventScroll: true });
    return done;
  };
  const own = navigator.clipboard?.writeText.bind(navigator.clipboard);
  const writeText = async (text) => {
    try {
      if (own) return await own(text);
    } catch {} // a frame without the permission, a window without the focus
    if (!byCommand(text)) throw new DOMException("The browser does not let this page copy.", "NotAllowedError");
  };
  if (own) navigator.clipboard.writeText = writeText;
  else Object.defineProperty(navigator, "clipboard", { value: { writeText } });
})();

// Switches light and dark by the header's button and remembers it in this browser; without a choice, the system's.
(() => {
  const KEY = "qubinode-colours";
  const wish = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is closed to frames in some browsers
    }
  };
  const apply = () => {
    const dark = wish() === "dark";
    if (wish() && document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-act=colours]")) return;
    const dark = !document.body.classList.contains("dark");
    try {
      localStorage.setItem(KEY, dark ? "dark" : "light");
    } catch {}
    document.body.classList.toggle("dark", dark);
  });
  // Gradio sets the system's choice when it mounts, whenever that is.
  const start = () => {
    apply();
    new MutationObserver(apply).observe(document.body, { attributeFilter: ["class"] });
  };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();

// Makes the address that of the open tab, so that a reload opens it again; what else the address holds stays. Gradio
// opens the first tab by itself before the server opens the one that the address names, so nothing counts until somebody
// has touched the page.
(() => {
  let touched = false;
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => (touched = true), { capture: true, once: true });
  window.showAddress = (place) => {
    if (!touched || demo.playing) return;
    const url = new URL(location);
    for (const key of ["tab", "tour", "step"]) url.searchParams.delete(key);
    for (const [key, value] of Object.entries(place)) url.searchParams.set(key, value);
    history.replaceState(history.state, "", url);
  };
})();

// Menus close on a click elsewhere and on Escape. Capturing, so that Escape reaches an open menu before the chat.
(() => {
  const open = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const menu of open()) if (!event.composedPath().includes(menu)) menu.removeAttribute("open");
  });
  const onEscape = (event) => {
    const menus = event.key === "Escape" ? open() : [];
    for (const menu of menus) {
      menu.removeAttribute("open");
      menu.querySelector("summary").focus();
      event.preventDefault();
    }
  };
  document.addEventListener("keydown", onEscape, true);
})();

// Adds what Gradio's own parts lack for keyboard and screen reader: a finished step's button has no name where the row
// is narrow, and the keyboard cannot reach code that scrolls sideways.
(() => {
  const mend = () => {
    for (const button of document.querySelectorAll(".step-button:not([aria-label])")) {
      button.setAttribute("aria-label", `Step ${button.dataset.tabId ?? ""}`.trim());
    }
    for (const code of document.querySelectorAll('.cm-scroller[tabindex="-1"]')) code.tabIndex = 0;
  };
  const start = () => new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
