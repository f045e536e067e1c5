// Plays the demonstration that onboarding/ui/page/demo.py makes, with the page's own box, transcript and tabs, and leaves
// the page as it was. It stands in the head, so that its listeners come before all others; the bar's own component calls
// `connect`, and transcript.js brings the `stage`.
window.demo = (() => {
  const TYPE_MS = 45, FRAME_MS = 700, BEAT_MS = 50, OPEN_MS = 5000, ANSWER_MS = 15000;
  const READS = "a[href], summary, [data-act=colours]"; // what a visitor may use meanwhile
  const ACTS = /^(Enter| |Arrow.*)$/; // keys that send, or choose, in a field
  const root = document.documentElement;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const STOPPED = Symbol("stopped");
  let bar, trigger, value;
  let run = null; // {id, before} of the one that plays
  let paused = false;
  let skipped = false; // the visitor wants the next step
  let arrived = () => {};

  const demo = { at: "", reached: null, stage: null, connect, start, stop, rest };
  Object.defineProperty(demo, "playing", { get: () => run !== null });
  const part = (selector) => bar.querySelector(selector);
  const words = (key) => demo.stage.words()[key];
  const tabs = () => document.querySelector("#tabs > .tab-wrapper");
  const tabOpen = () => tabs().querySelector("[role=tab][aria-selected=true]")?.dataset.tabId;

  function connect(element, send, props, watch) {
    [bar, trigger, value] = [element.querySelector(".demo-bar"), send, () => props.value ?? {}];
    watch("value", () => arrived());
    new ResizeObserver(() => root.style.setProperty("--demo-bar", `${bar.offsetHeight}px`)).observe(bar);
    root.classList.add("demos");
    bar.addEventListener("click", (event) => {
      const act = event.target.closest("[data-do]")?.dataset.do;
      if (act === "stop") stop();
      if (act === "next") skipped = true;
      if (act === "pause") setPaused(!paused);
    });
    const url = new URL(location);
    if (!url.searchParams.has("demo")) return;
    url.searchParams.delete("demo"); // a reload is the visitor's own
    history.replaceState(history.state, "", url);
    const named = url.searchParams.get("tour") ?? url.searchParams.get("tab") ?? "chat"; // the server opens it
    const late = performance.now() + OPEN_MS;
    const settle = () => (demo.stage?.settled() && (tabOpen() === named || performance.now() > late) ? start() : requestAnimationFrame(settle));
    settle();
  }

  function setPaused(now) {
    paused = now;
    part("[data-do=pause]").setAttribute("aria-pressed", String(now));
  }

  // Resolves after so many milliseconds, not counting those in which the visitor paused or looks elsewhere, and at once
  // where the next step is wanted. Who asked for less motion goes on by the button alone: there `ms` is without end.
  function rest(ms) {
    return new Promise((done) => {
      const beat = setInterval(() => {
        if (!paused && !document.hidden) ms -= BEAT_MS;
        if (ms > 0 && !skipped && demo.playing) return;
        clearInterval(beat);
        done();
      }, BEAT_MS);
    });
  }

  async function start() {
    if (demo.playing || !demo.stage?.words()) return;
    const before = { tab: tabOpen(), url: location.href, scroll: scrollY, focus: document.activeElement };
    const mine = (run = { id: Math.random().toString(36).slice(2), before });
    root.classList.add("demo");
    root.style.setProperty("--demo-label", JSON.stringify(words("demo_label")));
    bar.setAttribute("aria-label", words("demo_label"));
    part(".badge").textContent = words("demo_label");
    for (const [act, word] of [["pause", "demo_pause"], ["next", "next"], ["stop", "stop"]]) part(`[data-do=${act}]`).textContent = words(word);
    part("[data-do=pause]").hidden = calm.matches;
    setPaused(false);
    bar.hidden = false;
    part(`[data-do=${calm.matches ? "next" : "stop"}]`).focus({ preventScroll: true });
    try {
      if (before.tab !== "chat") await open(mine, "chat");
      demo.stage.begin();
      const steps = await script(mine);
      for (const [at, step] of steps.entries()) await perform(mine, step, `${at + 1}/${steps.length}`);
    } catch (error) {
      if (error !== STOPPED) console.error(error);
    }
    if (run === mine) stop();
  }

  const alive = (mine) => {
    if (run !== mine) throw STOPPED;
  };
  const wait = async (mine, ms) => {
    await demo.rest(ms);
    alive(mine);
  };

  async function script(mine) {
    await new Promise((done) => {
      setTimeout(done, ANSWER_MS); // the server may be gone
      arrived = () => value().run === mine.id && done();
      trigger("input", { run: mine.id });
    });
    alive(mine);
    return value().run === mine.id ? value().steps : [{ say: words("demo_late"), ms: ANSWER_MS / 2 }];
  }

  async function perform(mine, step, at) {
    skipped = false;
    demo.at = step.key;
    part(".caption").textContent = step.say;
    part(".at").textContent = at;
    if (step.tab) {
      demo.reached = { [step.tab]: step.step, demo: true };
      await open(mine, step.tab);
      scrollTo({ top: 0, behavior: "instant" });
    }
    for (let end = calm.matches ? step.type?.length : 1; end <= step.type?.length; end++) {
      demo.stage.type(step.type.slice(0, end));
      await wait(mine, TYPE_MS);
    }
    for (const [number, frame] of (step.frames ?? []).entries()) {
      if (step.type && !number) await wait(mine, FRAME_MS); // the question is read before it leaves the box
      demo.stage.show({ ...frame, question: step.type });
      if (!calm.matches && number + 1 < step.frames.length) await wait(mine, FRAME_MS);
    }
    see(step);
    see(step); // on a phone the first has brought the tabs to the window's edge
    await wait(mine, calm.matches ? Infinity : step.ms);
  }

  // Scrolls no further than needed to show a part whole, or from its beginning, between tabs and box.
  function see(step) {
    const node = (step.see || step.type) && document.querySelector(`.played .turn.last ${step.see ?? ""}`);
    if (!node) return;
    const { top, bottom } = node.getBoundingClientRect();
    const ceiling = tabs().getBoundingClientRect().bottom + 12;
    const floor = document.querySelector("#composer").getBoundingClientRect().top - 12;
    scrollBy({ top: top < ceiling ? top - ceiling : Math.max(0, Math.min(bottom - floor, top - ceiling)), behavior: "instant" });
  }

  // Opens a tab; a narrow page keeps most of them in a menu, where only the server opens them.
  async function open(mine, tab) {
    const button = tabs().querySelector(`[role=tab][data-tab-id="${tab}"]`);
    if (button) button.click();
    else demo.stage.open(tab);
    const isOpen = () => tabOpen() === tab && (tab !== "chat" || demo.stage.box());
    for (const end = performance.now() + OPEN_MS; !isOpen() && performance.now() < end; alive(mine)) {
      await new Promise(requestAnimationFrame);
    }
  }

  async function stop() {
    if (!run || run.ends) return;
    const { before } = run;
    const mine = (run = { ends: true });
    demo.reached = null;
    if (tabOpen() !== "chat") await open(mine, "chat"); // a tour that was open takes up its own step when it opens again
    demo.stage.end();
    if (before.tab !== "chat") await open(mine, before.tab);
    bar.hidden = true;
    root.classList.remove("demo");
    history.replaceState(history.state, "", before.url);
    scrollTo({ top: before.scroll, behavior: "instant" });
    const seen = before.focus?.isConnected && before.focus.getClientRects().length && before.focus !== document.body;
    (seen ? before.focus : document.querySelector("#question textarea"))?.focus({ preventScroll: true });
    demo.at = "";
    run = null;
  }

  // While it plays the page is to be looked at: what a visitor does elsewhere neither asks nor changes anything.
  const guard = (event) => {
    if (!demo.playing || !event.isTrusted) return;
    if (event.type === "keydown" && event.key === "Escape") stop();
    else if (bar.contains(event.target) || event.target.closest?.(READS)) return;
    else if (event.type === "keydown" && !(ACTS.test(event.key) && event.target.matches?.("textarea, input"))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  for (const kind of ["click", "keydown", "paste", "drop"]) addEventListener(kind, guard, true);
  return demo;
})();
