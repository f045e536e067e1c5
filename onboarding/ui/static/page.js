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
