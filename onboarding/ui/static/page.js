// Light or dark by the header's button, remembered in this browser; without a choice, as the system says.
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
