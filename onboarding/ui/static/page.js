// Light, dark or as the system says: one button in the header, remembered in this browser.
(() => {
  const KEY = "qubinode-colours";
  const apply = () => {
    const wish = localStorage.getItem(KEY);
    if (wish) document.body.classList.toggle("dark", wish === "dark");
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-act=colours]")) return;
    localStorage.setItem(KEY, document.body.classList.contains("dark") ? "light" : "dark");
    apply();
  });
  addEventListener("load", () => setTimeout(apply));
})();
