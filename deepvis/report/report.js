"use strict";
// The contact sheet: rows are filters, columns settings. Rows out of view hold nothing; those in view decode their own strips.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const sheet = byId("sheet"), rowsOf = byId("rows"), large = byId("large");
const LEAST = 66, GOOD = 150, KEPT = 600, PERIOD = 600, GAIN = 2;  // px of a cell at least, and better; strips in memory; ms between two pictures; of a difference
const count = data.settings.length;
const state = { view: "all", seed: 0, step: data.steps.length - 1, a: 0, b: data.best || count - 1, isB: false, held: false,
                sort: "filter", only: "", timer: 0, open: null };
const rows = data.units.map((unit, k) => {
  const row = document.createElement("div");
  row.className = "row";
  row.unit = k;
  return row;
});
let order = [], height = 0;

// Strips ------------------------------------------------------------------------------------------------------------
const decoded = new Map();
const source = (text) => `data:image/webp;base64,${text}`;
function strip(unit, step = state.step) {
  const key = `${state.seed} ${unit} ${step}`;
  let image = decoded.get(key);
  if (!image) {
    image = new Image();
    image.src = source(data.strips[state.seed][unit][step]);
    image.ready = image.decode().then(() => image, () => image);
  }
  decoded.delete(key);
  decoded.set(key, image);  // the last in the order is what was used last
  if (decoded.size > KEPT) decoded.delete(decoded.keys().next().value);
  return image;
}
function cut(pen, image, setting) {
  const {width, height} = data;
  const x = image.naturalWidth > width ? setting * width : 0;  // one picture stands for all, where all are the same
  pen.drawImage(image, x, 0, width, height, 0, 0, width, height);
}
function pixels(image, setting) {
  const pen = new OffscreenCanvas(data.width, data.height).getContext("2d", { willReadFrequently: true });
  cut(pen, image, setting);
  return pen.getImageData(0, 0, data.width, data.height);
}
const caption = (unit, setting) => data.captions[state.seed][unit][setting];
const number = (value) => value === null ? "no score" : String(Number(value.toPrecision(3))).replace("-", "\u2212");

// What a cell shows: [settings it needs, words] ---------------------------------------------------------------------
function settingsOf(column) {
  if (state.view === "all") return [column];
  return state.view === "flicker" ? [state.isB ? state.b : state.a] : [state.a, state.b];
}
const columns = () => state.view === "all" ? count : 1;
function words(unit, column) {
  const [setting] = settingsOf(column), told = caption(unit, setting);
  if (state.view === "difference") {
    const other = caption(unit, state.b);
    if (!told || !other) return ["B \u2212 A", "no such filter"];
    return ["B \u2212 A", `score ${number(told[1])} \u2192 ${number(other[1])}`];
  }
  const name = (state.view === "flicker" ? (state.isB ? "B " : "A ") : "") + data.settings[setting];
  if (!told) return [name, "no such filter"];
  const now = data.steps[state.step], taken = stepOf(told[0], now);
  return [name, number(told[1]), told[2], told[3], taken === now ? "" : `after ${taken} steps`].filter(Boolean);
}
const stepOf = (job, now) => data.jobs[job].steps.filter((each) => each <= now).pop() ?? data.jobs[job].steps[0];
function draw(canvas, unit, column, image) {
  const shown = settingsOf(column), pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (shown.some((setting) => !caption(unit, setting))) return;
  if (state.view !== "difference") return cut(pen, image, shown[0]);
  const [from, to] = shown.map((setting) => pixels(image, setting));
  for (let i = 0; i < to.data.length; i += 1) {
    if (i % 4 < 3) to.data[i] = 128 + GAIN * (to.data[i] - from.data[i]);  // clamped by the array
  }
  pen.putImageData(to, 0, 0);
}

// Rows --------------------------------------------------------------------------------------------------------------
function fill(row) {
  const cells = document.createElement("div"), label = document.createElement("div"), unit = data.units[row.unit];
  cells.className = "cells";
  label.className = "label";
  label.textContent = unit.label;
  if (unit.effect !== null) label.append(Object.assign(document.createElement("small"), { textContent: `differs by ${Math.round(100 * unit.effect)} %` }));
  for (let column = 0; column < columns(); column += 1) {
    const cell = document.createElement("figure"), canvas = document.createElement("canvas");
    cell.className = "cell";
    [canvas.width, canvas.height, canvas.tabIndex] = [data.width, data.height, 0];
    canvas.setAttribute("role", "img");
    cell.append(canvas, document.createElement("figcaption"));
    cells.append(cell);
    canvas.addEventListener("click", () => enlarge(row.unit, column));
    canvas.addEventListener("keydown", (event) => { if (event.key === "Enter") enlarge(row.unit, column); });
  }
  row.replaceChildren(label, cells);
  row.style.minHeight = "";
  row.isFilled = true;
}
function empty(row) {
  if (row.isFilled) height = row.offsetHeight || height;
  row.replaceChildren();
  row.style.minHeight = `${height}px`;
  row.isFilled = false;
}
async function paint(row) {
  const image = strip(row.unit);
  if (!image.complete) await image.ready;
  if (!row.isFilled || image !== strip(row.unit)) return;  // it has gone out of view, or another step is shown
  show(row, image);
}
function show(row, image) {
  row.querySelectorAll(".cell").forEach((cell, column) => {
    const canvas = cell.firstChild, told = words(row.unit, column), label = data.units[row.unit].label;
    draw(canvas, row.unit, column, image);
    const key = told.join("|");
    if (cell.told === key) return;
    cell.told = key;
    const parts = told.map((text, k) => Object.assign(document.createElement(k ? "span" : "b"), { textContent: text }));
    parts[0].className = "name";
    if (sheet.classList.contains("wrapped")) parts[0].textContent = told[0].replaceAll("=", "=\u200b");  // no number is broken
    if (sheet.classList.contains("one")) parts[0].textContent = count > 1 ? `${label}  ${told[0]}` : label;
    cell.lastChild.replaceChildren(...parts);
    canvas.setAttribute("aria-label", `${label}, ${told.join(", ")}`);
  });
}
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.isFilled) { fill(target); paint(target); }
    if (!isIntersecting && target.isFilled) empty(target);
  }
}, { rootMargin: "300px" });
function repaint() {
  rows.forEach((row) => { if (row.isFilled) paint(row); });
  load();
}
function layout() {
  // Of few settings several filters stand beside one another; of many, the pictures of one filter take several lines.
  const wide = sheet.clientWidth, isOne = columns() === 1;
  const side = Math.max(isOne ? 2 : 1, Math.floor(wide / (columns() * GOOD + 16)));
  const fit = Math.max(1, Math.min(columns(), Math.floor((wide + 4) / (LEAST + 4))));
  const isWrapped = !isOne && (wide - 110) / columns() < LEAST;
  sheet.classList.toggle("tiles", side > 1);
  sheet.classList.toggle("one", isOne);
  sheet.style.setProperty("--side", side);
  sheet.classList.toggle("wrapped", isWrapped);
  sheet.classList.toggle("small", Math.max(data.width, data.height) < 64);
  sheet.style.setProperty("--columns", isWrapped ? fit : columns());
}
function rebuild() {  // of another view: what rows hold has another shape
  rows.forEach((row) => { row.replaceChildren(); row.isFilled = false; row.style.minHeight = ""; seen.unobserve(row); });
  layout();
  arrange();
  if (!order.length) return;
  fill(rows[order[0]]);  // its height is that of those that are empty
  paint(rows[order[0]]);
  height = rows[order[0]].offsetHeight;
  rows.forEach((row) => { if (!row.isFilled) row.style.minHeight = `${height}px`; seen.observe(row); });
}

// Order and choice of rows ------------------------------------------------------------------------------------------
const effect = (unit) => data.units[unit].effect ?? -1;
const endsOf = (unit) => data.captions[state.seed][unit].filter(Boolean).map((told) => told[3]);
const isShown = (unit, only) => !only || (only[0] === ">" ? effect(unit) >= Number(only.slice(1)) : endsOf(unit).includes(only));
function arrange() {
  order = data.units.map((_, unit) => unit).filter((unit) => isShown(unit, state.only));
  const by = state.sort === "effect" ? effect : (unit) => caption(unit, Number(state.sort))?.[1] ?? -Infinity;
  if (state.sort !== "filter") order.sort((one, other) => by(other) - by(one) || one - other);
  rowsOf.replaceChildren(...order.map((unit) => rows[unit]));
  byId("count").textContent = order.length === rows.length ? `${rows.length} filters` : `${order.length} of ${rows.length} filters`;
}

// Steps, views, flicker ---------------------------------------------------------------------------------------------
function slide(step) {
  state.step = Number(step);
  for (const id of ["step", "step-large"]) byId(id).value = state.step;
  for (const id of ["after", "after-large"]) byId(id).textContent = data.steps[state.step];
  repaint();
  enlarged();
}
function play() {
  if (state.timer) return stop();
  if (state.step === data.steps.length - 1) slide(0);
  const next = async () => {
    if (state.step === data.steps.length - 1) return stop();
    const filled = rows.filter((row) => row.isFilled);
    await Promise.all(filled.map((row) => strip(row.unit, state.step + 1).ready));  // all of them change at once
    if (!state.timer) return;
    slide(state.step + 1);
    state.timer = setTimeout(next, PERIOD / Number(byId("speed").value));
  };
  state.timer = setTimeout(next, PERIOD / Number(byId("speed").value));
  pressed("play", true, "pause");
}
function stop() {
  clearTimeout(state.timer);
  state.timer = 0;
  pressed("play", false, "play");
  load();
}
function pressed(id, isOn, text) {
  if (!byId(id)) return;
  byId(id).setAttribute("aria-pressed", isOn);
  if (text) byId(id).textContent = text;
}
function look(view) {
  state.view = view;
  state.held = false;
  for (const id of ["all", "flicker", "difference"]) pressed(id, id === view);
  byId("hold").hidden = view !== "flicker";
  byId("scale").hidden = view !== "difference";
  pressed("hold", false, "hold");
  rebuild();
  enlarged();
}
function swap() {
  state.isB = !state.isB;
  repaint();
  enlarged();
}
function hold(isHeld) {
  state.held = isHeld;
  pressed("hold", isHeld, isHeld ? "go on" : "hold");
}
setInterval(() => { if (state.view === "flicker" && !state.held) swap(); }, PERIOD);

// One picture, enlarged ---------------------------------------------------------------------------------------------
function enlarge(unit, column) {
  state.open = { unit, column };
  if (!large.open) large.showModal();
  enlarged();
}
async function enlarged() {
  if (!large.open) return;
  const { unit, column } = state.open, image = strip(unit), canvas = byId("canvas"), setting = settingsOf(column)[0];
  await image.ready;
  if (!large.open || state.open.unit !== unit || image !== strip(unit)) return;
  draw(canvas, unit, column, image);
  const told = words(unit, column), more = caption(unit, setting)?.[4];
  if (more && state.view !== "difference") told.push(more);
  byId("caption").textContent = `${data.units[unit].label}, ${told[0]}: ${told.slice(1).join(", ")}`;
  const isFile = byId("whole").checked && state.view !== "difference" && caption(unit, setting);
  const png = byId("png");
  canvas.hidden = Boolean(isFile);
  png.hidden = !isFile;
  const [high, wide] = isFile ? data.whole : [data.height, data.width];
  const times = Math.max(1, Math.floor(Math.min(large.clientWidth - 30, 560) / Math.max(high, wide)));
  for (const each of [canvas, png]) each.style.width = `${times * wide}px`;
  byId("size").textContent = `${wide} \u00d7 ${high} px, each ${times} \u00d7 ${times} on the screen` +
    (isFile ? "" : data.whole[1] > wide ? `; the picture has ${data.whole[1]} \u00d7 ${data.whole[0]}` : "");
  if (isFile) png.src = file(unit, setting);
}
function file(unit, setting) {  // of its last snapshot that is not later than the step that is shown
  const [job] = caption(unit, setting), step = stepOf(job, data.steps[state.step]);
  const parts = [...data.jobs[job].folder.split("/"), "progress", `step_${String(step).padStart(5, "0")}`, data.units[unit].file];
  return parts.map(encodeURIComponent).join("/");
}
function move(rowsDown, columnsRight) {
  const place = order.indexOf(state.open.unit), to = (value, last) => Math.max(0, Math.min(last, value));
  enlarge(order[to(place + rowsDown, order.length - 1)], to(state.open.column + columnsRight, columns() - 1));
}

// Controls ----------------------------------------------------------------------------------------------------------
const on = (id, name, act) => byId(id)?.addEventListener(name, act);
for (const id of ["step", "step-large"]) on(id, "input", (event) => { stop(); slide(event.target.value); });
on("play", "click", play);
for (const id of ["all", "flicker", "difference"]) on(id, "click", () => look(id));
on("hold", "click", () => hold(!state.held));
for (const id of ["a", "b"]) on(id, "change", (event) => { state[id] = Number(event.target.value); if (state.view === "all") look("flicker"); repaint(); enlarged(); });
on("seed", "change", (event) => { state.seed = Number(event.target.value); rebuild(); load(); enlarged(); });
on("sort", "change", (event) => { state.sort = event.target.value; rebuild(); });
on("only", "change", (event) => { state.only = event.target.value; rebuild(); });
on("close", "click", () => large.close());
on("whole", "change", enlarged);
on("png", "error", () => { byId("whole").checked = false; byId("whole").disabled = true; byId("missing").hidden = false; enlarged(); });
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input[type=range]")) return;
  const arrow = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (large.open && arrow) { event.preventDefault(); return move(...(columns() > 1 ? arrow : [arrow[0] + arrow[1], 0])); }
  const key = event.key.toLowerCase();
  if (key === "p" && data.steps.length > 1) play();
  if (count < 2) return;
  if (key === "f") { if (state.view !== "flicker") look("flicker"); hold(true); swap(); }
  if (key === "d") look(state.view === "difference" ? "all" : "difference");
});
for (const option of byId("only").options) {
  const matching = data.units.filter((_, unit) => isShown(unit, option.value)).length;
  if (option.value) option.textContent += ` (${matching})`;
}
byId("beside").hidden = location.protocol !== "file:";  // elsewhere no picture files are beside the page
byId("a")?.options && ([byId("a").value, byId("b").value] = [state.a, state.b]);
const shape = () => sheet.getAttribute("style") + sheet.className;
addEventListener("resize", () => {
  const before = shape();
  layout();
  if (before !== shape()) rebuild();
});
// Print does not wait: the strips of all rows are loaded beforehand, a moment after each change, and drawn at once.
const loaded = { key: "", images: [], timer: 0 };
const loadedKey = () => `${state.seed} ${state.step}`;
function load() {
  clearTimeout(loaded.timer);
  loaded.timer = setTimeout(() => {
    if (state.timer || loaded.key === loadedKey()) return;
    loaded.key = loadedKey();
    loaded.images = data.strips[state.seed].map((steps) => Object.assign(new Image(), { src: source(steps[state.step]) }));
  }, 200);
}
addEventListener("beforeprint", () => {
  byId("more")?.setAttribute("open", "");
  for (const row of rows) {
    fill(row);
    const image = loaded.key === loadedKey() ? loaded.images[row.unit] : strip(row.unit);
    if (image.complete) show(row, image);
  }
});
addEventListener("afterprint", rebuild);
slide(state.step);
rebuild();
