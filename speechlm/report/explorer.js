"use strict";
// The utterances: filter, find, order, turn pages. Only one page of them is in the document at a time.

(function explorer() {
  const root = document.getElementById("explorer");
  if (!root) return;
  const sets = JSON.parse(document.getElementById("payload").textContent);
  const PAGE = 25;
  const NAMES = { s: "substitutions", d: "deletions", i: "insertions" };
  const state = { set: "", filter: "wrong", order: "errors", find: "", page: 0 };
  const at = (id) => document.getElementById(id);
  const errors = (one) => one.s + one.d + one.i;
  const rate = (one) => (one.n ? errors(one) / one.n : errors(one) ? Infinity : 0);
  const join = () => root.querySelector(`[data-set="${state.set}"]`).dataset.join;

  function make(name, classes, text) {
    const made = document.createElement(name);
    if (classes) made.className = classes;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A token is a run of correct text, or an error [reference, hypothesis, sounds alike]; 0 is a gap.
  function text(one) {
    const join_ = join();
    return one.text ??= one.t.map((part) => (typeof part === "string" ? part : part.slice(0, 2).filter((x) => x !== 0).join(" "))).join(join_).toLowerCase();
  }

  const FILTERS = {
    all: ["all", () => true],
    wrong: ["with errors", (one) => errors(one) > 0],
    right: ["without errors", (one) => errors(one) === 0],
    ...Object.fromEntries(Object.entries(NAMES).map(([key, name]) => [key, [name, (one) => one[key] > 0]])),
    alike: ["homophones", (one) => one.t.some((part) => part[2] === 1)],
    missing: ["no hypothesis", (one) => one.m === 1],
    sound: ["with audio", (one) => one.a !== undefined],
  };
  for (const list of Object.values(sets)) {
    for (const one of list) {
      for (const name of one.c ?? []) FILTERS["class:" + name] ??= [name.replaceAll("_", " "), (other) => (other.c ?? []).includes(name)];
    }
  }
  const ORDERS = {
    errors: (a, b) => errors(b) - errors(a) || rate(b) - rate(a),
    rate: (a, b) => (rate(a) === rate(b) ? 0 : rate(b) > rate(a) ? 1 : -1) || errors(b) - errors(a),
    long: (a, b) => b.n - a.n,
    short: (a, b) => a.n - b.n,
    id: (a, b) => (a.id < b.id ? -1 : 1),
  };

  function chosen() {
    const find = state.find.trim().toLowerCase();
    const keep = FILTERS[state.filter][1];
    const found = sets[state.set].filter((one) => keep(one) && (!find || one.id.toLowerCase().includes(find) || one.k.toLowerCase() === find || text(one).includes(find)));
    return found.sort(ORDERS[state.order]);
  }

  function said(one) {
    const line = make("div", "said");
    const between = join();
    one.t.forEach((part, number) => {
      if (number && between) line.append(between);
      if (typeof part === "string") return line.append(make("span", "correct", part));
      const [ref, hyp, alike] = part;
      if (ref === 0) return line.append(make("ins", "", hyp));
      if (hyp === 0) return line.append(make("del", "", ref));
      const both = make("ruby", alike ? "s alike" : "s", hyp);
      both.append(make("rt", "", ref));
      both.title = `spoken: ${ref}, heard: ${hyp}${alike ? " (they sound alike)" : ""}`;
      line.append(both);
    });
    if (!one.t.length) line.append(make("span", "quiet", "nothing spoken, nothing heard"));
    return line;
  }

  function sound(one) {
    const box = make("div", "sound");
    const picture = make("div", "picture");
    const image = make("img");
    const head = make("i");
    const player = make("audio");
    image.src = one.p;
    image.alt = `Spectrogram of ${one.id}, 0 to 8 kHz`;
    player.controls = true;
    player.preload = "metadata";
    player.src = one.a;
    picture.append(image, head);
    picture.addEventListener("click", (event) => {
      const place = picture.getBoundingClientRect();
      if (Number.isFinite(player.duration)) player.currentTime = (player.duration * (event.clientX - place.left)) / place.width;
    });
    player.addEventListener("timeupdate", () => { head.style.left = `${(100 * player.currentTime) / (player.duration || 1)}%`; });
    player.addEventListener("play", () => {
      for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
    });
    box.style.maxWidth = `${Math.max(340, 150 * one.l)}px`; // one time scale for all: 150 pixels a second
    box.append(picture, player);
    return box;
  }

  function card(one) {
    const made = make("article");
    const head = make("div", "head");
    made.dataset.id = one.id;
    head.append(make("b", "", one.id));
    if (one.k) head.append(make("span", "", one.k));
    if (one.l !== undefined) head.append(make("span", "", `${one.l.toFixed(1)} s`));
    for (const name of one.c ?? []) head.append(make("span", "tag", name.replaceAll("_", " ")));
    if (one.m) head.append(make("span", "tag", "no hypothesis"));
    const share = one.n ? ` · ${(100 * rate(one)).toFixed(1)} %` : "";
    head.append(make("span", "rate", `${errors(one)} / ${one.n}${share}`));
    made.append(head, said(one));
    if (one.a) made.append(sound(one));
    return made;
  }

  function draw() {
    const found = chosen();
    const all = sets[state.set].length;
    const total = Number(root.querySelector(`[data-set="${state.set}"]`).dataset.total);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const shown = found.slice(state.page * PAGE, (state.page + 1) * PAGE);
    at("list").replaceChildren(...shown.map(card));
    at("found").textContent = `${found.length.toLocaleString("en")} of ${all.toLocaleString("en")} utterances` + (all < total ? ` (the worst of ${total.toLocaleString("en")})` : "");
    at("page").textContent = `${state.page + 1} / ${pages}`;
    at("before").disabled = state.page === 0;
    at("next").disabled = state.page === pages - 1;
    for (const button of at("sets").children) button.setAttribute("aria-pressed", button.dataset.set === state.set);
    for (const button of at("filters").children) button.setAttribute("aria-pressed", button.dataset.filter === state.filter);
  }

  function filters() {
    const made = [];
    for (const [key, [name, keep]] of Object.entries(FILTERS)) {
      const much = sets[state.set].filter(keep).length;
      if (!much && key !== "all" && key !== "wrong") continue;
      const button = make("button", "", name);
      button.type = "button";
      button.dataset.filter = key;
      button.append(make("small", "", much.toLocaleString("en")));
      button.addEventListener("click", () => change({ filter: key }));
      made.push(button);
    }
    at("filters").replaceChildren(...made);
  }

  function change(values) {
    const other = values.set !== undefined && values.set !== state.set;
    Object.assign(state, { page: 0 }, values);
    if (other) {
      filters();
      if (![...at("filters").children].some((button) => button.dataset.filter === state.filter)) state.filter = "all";
    }
    draw();
  }

  for (const button of at("sets").children) button.addEventListener("click", () => change({ set: button.dataset.set }));
  at("search").addEventListener("input", () => change({ find: at("search").value }));
  at("order").addEventListener("change", () => change({ order: at("order").value }));
  at("before").addEventListener("click", () => { change({ page: state.page - 1 }); root.scrollIntoView(); });
  at("next").addEventListener("click", () => { change({ page: state.page + 1 }); root.scrollIntoView(); });
  for (const table of document.querySelectorAll("[data-speakers]")) {
    for (const row of table.tBodies[0].rows) {
      row.className = "pick";
      row.title = "Show this speaker's utterances";
      row.addEventListener("click", () => {
        at("search").value = row.cells[0].textContent;
        change({ set: table.dataset.speakers, find: at("search").value, filter: "all" });
        at("utterances").scrollIntoView();
      });
    }
  }
  root.hidden = false;
  change({ set: Object.keys(sets)[0] });
})();
