"use strict";

// What is on the page, and what lights up. All numbers come from formulas.js.
// A cell is named by its array and its index, as in the formulas: "x" with [c, row, column], "w" with [o, c, k, l],
// "y" with [o, i, j], "columns" with [r, p]; gradients, "dx" and so on, have the index of what they belong to.

const state = {
  view: "forward",
  selected: null, // { name, index }
  step: null, // how many steps of the walk are done; null: all of them, and no walk
  timer: null,
  geometry: structuredClone(DATA.geometry),
};
let g; // the geometry of the view, as formulas.js wants it
let arrays; // all arrays of the view by name
let terms; // all products, see formulas.js
let walk; // the steps of the view
let cells; // by "name:index" the elements that show the number

const element = (id) => document.getElementById(id);
const baseOf = (name) => name.replace(/^d/, ""); // the array that a gradient belongs to
const text = (number) => (number === -Infinity ? "−∞" : String(number).replace("-", "−"));
const inBrackets = (number) => (number < 0 ? `(${text(number)})` : text(number));

const VIEWS = {
  forward: {
    title: "Forward",
    caption: `Each window of the input, read row by row, is one <em>column</em> (im2col). Each number of the column
      times the kernel's number in its row, summed, is one number of the output. Point at any cell.`,
    panels: ["w", "x", ["→", "im2col"], "columns", ["→", "add up"], "y"],
    around: { left: "w", bottom: "y" },
    product: ["w", "x"],
    start: ["y", 0],
    result: "y",
  },
  weight: {
    title: "Weight gradient",
    caption: `A kernel's number met a whole <em>row</em> of the columns, one number an output. It receives from every
      output: the number it met there, times the gradient of that output. So: <em>row times dy, summed</em>.`,
    panels: ["dy", "x", ["→", "im2col"], "columns", ["→", "add up"], "dw"],
    around: { top: "dy", right: "dw" },
    product: ["x", "dy"],
    start: ["dw", 0],
    result: "dw",
  },
  input: {
    title: "Input gradient",
    caption: `Every output sends its gradient, times the kernel, back to its window: a column of this multiplication
      table. Each number goes home to where im2col took it from. <em>Where windows overlap, they add</em> (col2im).`,
    panels: ["dy", "w", ["→", "multiply"], "dcolumns", ["→", "col2im"], "dx"],
    around: { left: "w", top: "dy" },
    product: ["w", "dy"],
    start: ["dx", 0],
    result: "dx",
  },
  all: {
    title: "All at once",
    caption: `Above, the way forward; below, the way back: <em>each gradient has the shape of the array above it</em>.`,
    panels: ["x", "w", "columns", "y", "dx", "dw", "dcolumns", "dy"],
    around: {},
    start: ["dx", 0],
    result: "dx",
  },
  pool: {
    title: "Max pooling",
    caption: `The largest number of each window is the output; of equal ones, the first, row by row (★; the others
      dashed). Its gradient goes <em>there and nowhere else</em>. Who wins in several windows gets the sum.`,
    panels: ["x", ["→", "largest"], "y", ["↩", "gradient"], "dy", ["→", "to the winner"], "dx"],
    around: {},
    start: ["y", 0],
    result: "dx",
  },
};

const WORDS = {
  x: "input", w: "kernel", columns: "im2col of x", y: "output",
  dx: "input gradient", dw: "weight gradient", dcolumns: "column gradient", dy: "upstream gradient",
};

// --- geometry and arrays -----------------------------------------------------------------------------------

const kind = () => (state.view === "pool" ? "pool" : "conv");

function expand(given) {
  const [H, W] = given.input, [KH, KW] = given.kernel, [SH, SW] = given.stride, [PH, PW] = given.padding;
  const [DH, DW] = given.dilation, C = given.channels, O = given.filters;
  const OH = outputSize(H, KH, SH, PH, DH), OW = outputSize(W, KW, SW, PW, DW);
  return { C, O, H, W, KH, KW, SH, SW, PH, PW, DH, DW, OH, OW };
}

// One line about what does not fit, or null.
function complaint(given, isPool) {
  const outside = (name, number) => {
    const [least, most] = DATA.limits[name];
    return Number.isInteger(number) && number >= least && number <= most
      ? null : `${name}: expected ${least} to ${most}, got ${Number.isNaN(number) ? "nothing" : number}`;
  };
  for (const [name, value] of Object.entries(given))
    for (const number of [value].flat()) if (outside(name, number)) return outside(name, number);
  const { C, KH, KW, PH, PW, OH, OW } = expand(given);
  for (const size of [OH, OW]) if (outside("output", size)) return `${outside("output", size)}: ${OH} × ${OW}`;
  if (isPool && (2 * PH > KH || 2 * PW > KW)) return "padding: expected at most half the kernel";
  if (outside("rows", C * KH * KW)) return `${outside("rows", C * KH * KW)} of the im2col matrix, channels · KH · KW`;
  if (outside("columns", OH * OW)) return `${outside("columns", OH * OW)} of the im2col matrix, OH · OW`;
  return null;
}

// The first corner of an array, of the given sizes.
const corner = (array, size, ...rest) => array.slice(0, size).map((a) => (rest.length ? corner(a, ...rest) : a));

function compute() {
  g = expand(state.geometry[kind()]);
  terms = products(g);
  const given = DATA.numbers;
  if (kind() === "pool") {
    const x = corner(given.pool_x, 1, g.H, g.W), dy = corner(given.pool_dy, 1, g.OH, g.OW);
    const { y, winners } = maxPool(x, g);
    arrays = { x, y, dy, winners, dx: maxPoolBackward(dy, winners, g) };
  } else {
    const x = corner(given.x, g.C, g.H, g.W), w = corner(given.w, g.O, g.C, g.KH, g.KW);
    const dy = corner(given.dy, g.O, g.OH, g.OW), columns = im2col(x, g), dcolumns = columnGradient(w, dy, g);
    const dx_padded = col2im(dcolumns, g);
    arrays = { x, w, dy, columns, dcolumns, dx_padded, dx: crop(dx_padded, g) };
    arrays.y = conv(columns, w, g);
    arrays.dw = weightGradient(columns, dy, g);
    arrays.db = dy.map((each) => each.flat().reduce((a, b) => a + b, 0));
  }
}

// Whether the formulas give what tinycnn computed: for the geometry that the page was made for, every array.
function check() {
  if (JSON.stringify(state.geometry[kind()]) !== JSON.stringify(DATA.geometry[kind()])) return "";
  const same = Object.entries(DATA.arrays[kind()]).every(([n, a]) => JSON.stringify(a) === JSON.stringify(arrays[n]));
  return same ? "✓ the numbers that tinycnn computes" : "✗ not the numbers that tinycnn computes";
}

function isPadding(name, index) {
  const [, row, column] = index;
  return baseOf(name) === "x" && (row < 0 || row >= g.H || column < 0 || column >= g.W);
}

function value(name, index) {
  if (name === "x") return at(arrays.x, ...index, g);
  if (name === "dx") {
    const [c, row, column] = index;
    return arrays.dx_padded ? arrays.dx_padded[c][row + g.PH][column + g.PW] : at(arrays.dx, ...index, g);
  }
  return index.reduce((array, i) => array[i], arrays[name]);
}

// How the text speaks of a cell; a single channel or filter is not counted.
function label(name, index) {
  const base = baseOf(name);
  let shown = index;
  if (base === "columns") {
    const [r, p] = index, c = Math.floor(r / (g.KH * g.KW));
    const tap = [Math.floor(r / g.KW) % g.KH, r % g.KW];
    return `${name}[${g.C > 1 ? `${c}, ` : ""}${tap.join(", ")} ; ${Math.floor(p / g.OW)}, ${p % g.OW}]`;
  }
  if (base === "x" && g.C === 1) shown = index.slice(1);
  if (base === "y" && g.O === 1) shown = index.slice(1);
  if (base === "w") shown = [...(g.O > 1 ? [index[0]] : []), ...(g.C > 1 ? [index[1]] : []), ...index.slice(2)];
  return `${name}[${shown.map(text).join(", ")}]`;
}

// --- which products a cell takes part in -------------------------------------------------------------------

const indexIn = {
  x: (t) => [t.c, t.row, t.column],
  w: (t) => [t.o, t.c, t.k, t.l],
  columns: (t) => [t.r, t.p],
  y: (t) => [t.o, t.i, t.j],
};
const same = (a, b) => a.length === b.length && a.every((n, i) => n === b[i]);
const termsOf = ({ name, index }) => terms.filter((t) => same(indexIn[baseOf(name)](t), index));

// --- the walk ----------------------------------------------------------------------------------------------

// A step is { cells that it reads or that are selected, added: [[index, number]] } of the view's result.
function makeWalk() {
  const { view } = state, steps = [];
  const byPosition = (p) => terms.filter((t) => t.p === p);
  for (let p = 0; p < g.OH * g.OW; p++) {
    const i = Math.floor(p / g.OW), j = p % g.OW;
    if (view === "pool") {
      const winner = arrays.winners[i][j];
      const added = winner ? [[[0, winner.row, winner.column], arrays.dy[0][i][j]]] : [];
      steps.push({ selected: { name: "dy", index: [0, i, j] }, p, added });
    } else if (view === "forward") {
      const added = range(g.O).map((o) => [[o, i, j], arrays.y[o][i][j]]);
      steps.push({ selected: { name: "y", index: [0, i, j] }, p, added });
    } else if (view === "weight") {
      const added = byPosition(p).map((t) => [indexIn.w(t), arrays.columns[t.r][p] * arrays.dy[t.o][i][j]]);
      steps.push({ selected: { name: "dy", index: [0, i, j] }, p, added });
    } else {
      const added = byPosition(p).filter((t) => t.o === 0).map((t) => [indexIn.x(t), arrays.dcolumns[t.r][p], t.r]);
      if (element("unit").value === "window") steps.push({ selected: { name: "dy", index: [0, i, j] }, p, added });
      else for (const one of added) steps.push({ selected: { name: "dcolumns", index: [one[2], p] }, p, added: [one] });
    }
  }
  return steps;
}

// The result after the first `count` steps, by index.
function partial(count) {
  const totals = {};
  for (const { added } of walk.slice(0, count))
    for (const [index, number] of added) totals[index] = (totals[index] ?? 0) + number;
  return totals;
}

// --- building the page -------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, content] of Object.entries(properties))
    name in made && name !== "role" ? (made[name] = content) : made.setAttribute(name, content);
  made.append(...children);
  return made;
}

function cell(name, index, mirror = false) {
  const td = make("td", { className: baseOf(name) });
  td.dataset.name = name;
  td.dataset.index = index;
  if (mirror) td.classList.add("margin");
  else {
    td.setAttribute("role", "gridcell");
    td.tabIndex = -1;
  }
  if (isPadding(name, index)) td.classList.add("pad");
  const key = `${name}:${index}`;
  if (!cells.has(key)) cells.set(key, []);
  cells.get(key).push(td);
  return td;
}

function image(name, first, rows, columns, from = [0, 0]) {
  const table = make("table", { role: "presentation" });
  for (let i = 0; i < rows; i++) {
    const tr = table.appendChild(make("tr", { role: "row" }));
    for (let j = 0; j < columns; j++) tr.append(cell(name, [...first, i + from[0], j + from[1]]));
  }
  return table;
}

// The im2col matrix, with a factor or the result of the matrix product along its sides.
function matrix(name, around) {
  const table = make("table", { role: "presentation" }), R = g.C * g.KH * g.KW, P = g.OH * g.OW;
  const kernel = (n, r) => range(g.O).map((o) => cell(n, [o, Math.floor(r / (g.KH * g.KW)), Math.floor(r / g.KW) % g.KH, r % g.KW], true));
  const output = (n, o) => range(P).map((p) => cell(n, [o, Math.floor(p / g.OW), p % g.OW], true));
  const blank = (n, what = "") => range(n).map(() => make("td", { className: what || "corner" }));
  const left = around.left ? g.O : 0, right = around.right ? g.O : 0;
  const before = [...blank(left), ...(left ? blank(1, "gap") : []), make("th")];
  const side = (n) => {
    for (let o = 0; o < g.O; o++) {
      const own = [...blank(left), ...(left ? blank(1, "gap") : []), make("th", { className: "row", innerHTML: `<i>${n}</i>${g.O > 1 ? o : ""}` })];
      table.append(make("tr", {}, ...own, ...output(n, o)));
    }
  };
  const sideNames = (n) => range(g.O).map((o) => make("th", { innerHTML: `<i>${n}</i>${g.O > 1 ? o : ""}` }));
  const positions = range(P).map((p) => make("th", { textContent: `${Math.floor(p / g.OW)},${p % g.OW}` }));
  if (around.top) side(around.top);
  const head = around.left ? [...sideNames(around.left), ...blank(1, "gap"), make("th")] : before;
  if (state.view !== "all") table.append(make("tr", {}, ...head, ...positions, ...(right ? [...blank(1, "gap"), ...sideNames(around.right)] : [])));
  for (let r = 0; r < R; r++) {
    const c = Math.floor(r / (g.KH * g.KW)), tap = `${Math.floor(r / g.KW) % g.KH},${r % g.KW}`;
    const tr = table.appendChild(make("tr", { role: "row" }));
    if (left) tr.append(...kernel(around.left, r), ...blank(1, "gap"));
    if (state.view !== "all") tr.append(make("th", { className: "row", textContent: g.C > 1 ? `${c},${tap}` : tap }));
    const own = range(P).map((p) => cell(name, [r, p]));
    if (r > 0 && r % (g.KH * g.KW) === 0) own.forEach((td) => td.classList.add("channel"));
    tr.append(...own);
    if (right) tr.append(...blank(1, "gap"), ...kernel(around.right, r));
  }
  if (around.bottom) {
    table.append(make("tr", {}, ...blank(1, "gap")));
    side(around.bottom);
  }
  return table;
}

function panel(name) {
  const view = VIEWS[state.view], base = baseOf(name);
  const sizes = {
    x: [...(g.C > 1 ? [g.C] : []), g.H, g.W], y: [...(g.O > 1 ? [g.O] : []), g.OH, g.OW],
    w: [...(g.O > 1 ? [g.O] : []), ...(g.C > 1 ? [g.C] : []), g.KH, g.KW], columns: [g.C * g.KH * g.KW, g.OH * g.OW],
  }[base];
  const title = make("h2", { innerHTML: `<var>${name}</var><span>${WORDS[name]} <br>${sizes.join(" × ")}</span>` });
  const grid = make("div", { role: "grid", className: "blocks" });
  grid.setAttribute("aria-label", `${name}, ${WORDS[name]}, ${sizes.join(" by ")}`);
  const block = (table, what) => make("div", { className: "block" }, ...(what ? [make("span", { textContent: what })] : []), table);
  if (base === "columns") grid.append(block(matrix(name, view.around)));
  if (base === "x")
    for (let c = 0; c < g.C; c++) {
      const table = image(name, [c], g.H + 2 * g.PH, g.W + 2 * g.PW, [-g.PH, -g.PW]);
      grid.append(block(table, g.C > 1 && `channel ${c}`));
    }
  if (base === "y") for (let o = 0; o < g.O; o++) grid.append(block(image(name, [o], g.OH, g.OW), g.O > 1 && `filter ${o}`));
  if (base === "w") {
    grid.style.gridTemplateColumns = `repeat(${g.O}, max-content)`;
    for (let c = 0; c < g.C; c++)
      for (let o = 0; o < g.O; o++) {
        const what = [...(g.O > 1 ? [`filter ${o}`] : []), ...(g.C > 1 ? [`channel ${c}`] : [])].join(", ");
        grid.append(block(image(name, [o, c], g.KH, g.KW), what));
      }
  }
  const made = make("section", { className: `panel ${base}${base === name ? "" : " gradient"}` }, title, grid);
  const note = notes(name);
  if (note) made.append(make("p", { className: "note", innerHTML: note }));
  return made;
}

function notes(name) {
  const padded = g.PH > 0 || g.PW > 0;
  if (state.view === "all") return "";
  if (name === "x" && padded) return state.view === "pool" ? "Hatched: padding. It never wins." : "Hatched: padding, zeros.";
  if (name === "dx" && padded && state.view === "input") return "Hatched: what lands on the padding is cut off.";
  if (name === "dw") return `A bias, added to every output, gets the sum of dy: <i>db</i> = ${arrays.db.map(text).join(", ")}`;
  if (name === "y" && state.view === "forward") {
    const size = (s, k, st, p, d) => `⌊(${s} + 2·${p} − ${d}·(${k} − 1) − 1) / ${st}⌋ + 1 = ${outputSize(s, k, st, p, d)}`;
    const rows = size(g.H, g.KH, g.SH, g.PH, g.DH), columns = size(g.W, g.KW, g.SW, g.PW, g.DW);
    return rows === columns ? `Size: ${rows}` : `Rows: ${rows}<br>Columns: ${columns}`;
  }
  return "";
}

function makeForm() {
  const form = element("geometry"), given = state.geometry[kind()];
  form.replaceChildren();
  for (const [name, value] of Object.entries(given)) {
    if (kind() === "pool" && !Array.isArray(value)) continue;
    const fields = [value].flat().map((number, i, all) => {
      const [min, max] = DATA.limits[name];
      const what = all.length > 1 ? `${name}, ${["rows", "columns"][i]}` : name;
      const input = make("input", { type: "number", min, max, value: number, id: `${name}-${i}` });
      input.setAttribute("aria-label", what);
      return input;
    });
    form.append(make("fieldset", {}, make("legend", { textContent: name }), ...fields.flatMap((f, i) => (i ? ["×", f] : [f]))));
  }
}

function readForm() {
  const given = structuredClone(state.geometry[kind()]);
  for (const name of Object.keys(given)) {
    if (!element(`${name}-0`)) continue;
    const read = (i) => element(`${name}-${i}`).valueAsNumber;
    given[name] = Array.isArray(given[name]) ? [read(0), read(1)] : read(0);
  }
  const wrong = complaint(given, kind() === "pool");
  element("error").textContent = wrong ? `Nothing changed. ${wrong}` : "";
  if (wrong) return;
  state.geometry[kind()] = given;
  build();
}

function build() {
  pause();
  compute();
  cells = new Map();
  const view = VIEWS[state.view], stage = element("stage");
  element("caption").innerHTML = view.caption;
  element("check").textContent = check();
  stage.className = state.view;
  stage.replaceChildren();
  for (const part of view.panels) {
    if (Array.isArray(part)) stage.append(make("div", { className: "arrow", innerHTML: `<b>${part[0]}</b>${part[1]}` }));
    else stage.append(panel(part));
  }
  for (const tab of element("views").children) tab.setAttribute("aria-selected", tab.dataset.view === state.view);
  element("player").querySelector("#unit-label").hidden = !["input", "all"].includes(state.view);
  state.step = null;
  walk = makeWalk();
  element("progress").max = walk.length;
  state.selected = keptSelection() ?? middle(view.start[0]);
  for (const grid of document.querySelectorAll("[role=grid]")) {
    const inside = grid.querySelector("[role=gridcell]:not(.pad)");
    if (inside) inside.tabIndex = 0;
  }
  fit();
  paint();
}

// The selection that the last view left, where this one has its cell.
function keptSelection() {
  if (!state.selected) return null;
  const base = baseOf(state.selected.name);
  const wanted = [VIEWS[state.view].result, state.selected.name, base, `d${base}`].filter((n) => baseOf(n) === base);
  const name = wanted.find((n) => cells.has(`${n}:${state.selected.index}`));
  return name ? { name, index: state.selected.index } : null;
}

// Where a view begins: in the middle; for the input, at a number that lies in many windows.
function middle(name) {
  if (baseOf(name) === "x") {
    const uses = (index) => termsOf({ name, index }).length;
    const all = range(g.H).flatMap((row) => range(g.W).map((column) => [0, row, column]));
    return { name, index: all.reduce((best, index) => (uses(index) > uses(best) ? index : best)) };
  }
  const sizes = { w: [g.KH, g.KW], y: [g.OH, g.OW] }[baseOf(name)].map((n) => Math.floor((n - 1) / 2));
  return { name, index: [...(baseOf(name) === "w" ? [0, 0] : [0]), ...sizes] };
}

// The largest cells with which the stage needs no scrolling, within what can be read.
function fit() {
  const stage = element("stage"), root = document.documentElement;
  const fits = (size) => {
    root.style.setProperty("--cell", `${size}px`);
    return document.body.scrollHeight <= window.innerHeight && stage.scrollWidth <= stage.clientWidth && onOneLine(stage);
  };
  let [least, most] = [22, 64]; // the least is taken even if it does not fit
  while (most > least) {
    const middle = Math.ceil((least + most) / 2);
    if (fits(middle)) least = middle;
    else most = middle - 1;
  }
  fits(least);
}

function onOneLine(stage) {
  if (stage.classList.contains("all")) return true;
  const panels = [...stage.querySelectorAll(".panel")];
  return panels.every((p) => Math.abs(p.offsetTop - panels[0].offsetTop) < 2);
}

// --- painting ----------------------------------------------------------------------------------------------

function paint() {
  const view = VIEWS[state.view], walking = state.step !== null;
  const totals = walking ? partial(state.step) : null;
  const step = walking && state.step > 0 ? walk[state.step - 1] : null;
  const finished = walking && state.step === walk.length && state.timer === null;
  const lit = new Set(), winners = new Set(), ties = new Set();
  for (const t of litTerms(step))
    for (const base of ["x", "w", "columns", "y"]) lit.add(`${base}:${indexIn[base](t)}`);
  if (state.view === "pool") routes(lit, winners, ties);
  const added = new Map(step ? sumUp(step.added) : []), onlyWinners = state.view === "pool";
  for (const [key, elements] of cells) {
    const [name, at] = key.split(":"), index = at.split(",").map(Number), base = baseOf(name);
    let number = value(name, index), empty = false;
    if (walking && name === view.result) {
      empty = name === "y" && !(at in totals);
      number = totals[at] ?? 0;
    }
    if (walking && name === "columns" && state.view === "forward") empty = index[1] >= state.step;
    const isAdded = step && !finished && name === view.result && name !== "y" && added.has(at);
    const selected = name === state.selected.name && at === String(state.selected.index);
    for (const td of elements) {
      td.textContent = empty ? "·" : text(number);
      td.classList.toggle("long", td.textContent.length > 2);
      td.classList.toggle("empty", empty);
      td.classList.toggle("lit", onlyWinners && name !== base ? winners.has(key) : lit.has(`${base}:${at}`));
      td.classList.toggle("selected", selected);
      td.classList.toggle("winner", winners.has(key));
      td.classList.toggle("tie", ties.has(key));
      td.classList.toggle("fresh", Boolean(isAdded));
      if (isAdded) td.dataset.added = (added.get(at) < 0 ? "" : "+") + text(added.get(at));
      if (td.getAttribute("role") === "gridcell") {
        td.setAttribute("aria-selected", selected);
        td.setAttribute("aria-label", `${label(name, index)} is ${empty ? "not yet known" : text(number)}`);
      }
    }
  }
  element("sum").innerHTML = step && !finished ? stepText(step) : sumText();
  element("sum").setAttribute("aria-live", state.timer === null ? "polite" : "off");
  element("progress").value = state.step ?? walk.length;
  element("count").textContent = walking ? `step ${state.step} of ${walk.length}` : `${walk.length} steps`;
  element("play").textContent = state.timer === null ? "▶ Play" : "⏸ Pause";
  element("play").setAttribute("aria-label", state.timer === null ? "Play" : "Pause");
}

// In a step, the products that it adds up; else those of the selected cell.
function litTerms(step) {
  if (!step) return termsOf(state.selected);
  if (step.selected.name === "dcolumns" || state.view === "forward") return termsOf(step.selected);
  return terms.filter((t) => t.p === step.p);
}

// Of max pooling: only the winner of a window passes a gradient on.
function routes(lit, winners, ties) {
  const { name, index } = state.selected, fromInput = baseOf(name) === "x";
  for (const t of termsOf(state.selected)) {
    const winner = arrays.winners[t.i][t.j];
    if (!winner) continue;
    const won = winner.row === t.row && winner.column === t.column, place = `0,${t.row},${t.column}`;
    if (won) winners.add(`x:${place}`).add(`dx:${place}`);
    else if (!fromInput && !isPadding("x", [0, t.row, t.column]) && arrays.x[0][t.row][t.column] === arrays.y[0][t.i][t.j])
      ties.add(`x:${place}`);
    if (fromInput && won) winners.add(`y:0,${t.i},${t.j}`).add(`dy:0,${t.i},${t.j}`);
  }
  if (!fromInput) lit.add(`y:${index}`);
}

const sumUp = (added) => {
  const totals = new Map();
  for (const [index, number] of added) totals.set(String(index), (totals.get(String(index)) ?? 0) + number);
  return totals;
};

// --- the line below ----------------------------------------------------------------------------------------

const factor = (name, number) =>
  `<span class="factor ${baseOf(name)}${number === 0 ? " zero" : ""}">${inBrackets(number)}</span>`;
const symbol = (name, index) => `<var>${label(name, index)}</var>`;
const result = (number) => `<span class="result" data-value="${number}">${text(number)}</span>`;

function productSum(name, index, list, [a, b], index_a, index_b) {
  const shown = list.map((t) => {
    const first = value(a, index_a(t)), second = value(b, index_b(t));
    return `<span class="term" data-value="${first * second}">${factor(a, first)}·${factor(b, second)}</span>`;
  });
  return `${symbol(name, index)} = ${shown.join(" + ") || "nothing"} = ${result(value(name, index))}`;
}

function sumText() {
  const { name, index } = state.selected, list = termsOf(state.selected);
  if (state.view === "pool") return poolText(name, index, list);
  const backward = state.view === "all" ? name === "x" || name.startsWith("d") : false;
  const windows = `${list.length / (baseOf(name) === "x" ? g.O : 1)}`;
  const many = (n, what) => `${n} ${what}${Number(n) === 1 ? "" : "s"}`;
  switch (name) {
    case "y":
      return `${productSum(name, index, list, ["w", "x"], indexIn.w, indexIn.x)}
        <br><small>kernel · window, in the order of the column; dotted: a zero</small>`;
    case "dw":
      return `${productSum(name, index, list, ["x", "dy"], indexIn.x, indexIn.y)}
        <br><small>what the kernel's number met · the gradient of that output, over all ${many(list.length, "output")}</small>`;
    case "dcolumns": {
      const home = indexIn.x(list[0]);
      return `${productSum(name, index, list, ["w", "dy"], indexIn.w, indexIn.y)}, and goes home to ${symbol("dx", home)}
        ${isPadding("x", home) ? "in the padding, where it is cut off" : ""}`;
    }
    case "dx":
      return inputText(index, list);
    case "columns": {
      const home = indexIn.x(list[0]), [r, p] = index, { k, l, i, j } = list[0];
      const where = (o, s, t, d, pad) => `${o}·${s} + ${t}·${d} − ${pad}`;
      return `${symbol(name, index)} = <var>x</var>[${g.C > 1 ? `${home[0]}, ` : ""}${where(i, g.SH, k, g.DH, g.PH)},
        ${where(j, g.SW, l, g.DW, g.PW)}] = ${symbol("x", home)} = ${result(value("columns", index))}
        <br><small>output position · stride + kernel position · dilation − padding${isPadding("x", home) ? ": in the padding" : ""}</small>`;
    }
    case "x":
      if (backward) return inputText(index, list);
      return `${symbol(name, index)} = ${result(value(name, index))} lies in ${many(windows, "window")}, so im2col copies it
        ${windows === "1" ? "once" : `${windows} times`}${windows === "0" ? ": no output knows it, and its gradient is 0" : ""}.
        <br><small>On the way back, the gradients of all copies will add (view 3).</small>`;
    case "w":
      return `${symbol(name, index)} = ${result(value(name, index))} meets one number of every window: a row of the columns.
        <br><small>${state.view === "input" ? "It takes the gradient of every output back to another place of dx." : "On the way back, it will receive from every output (view 2)."}</small>`;
    case "dy":
      return state.view === "weight"
        ? `${symbol(name, index)} = ${result(value(name, index))}, times its whole window, is added to <var>dw</var>. Press Play to see it.`
        : `${symbol(name, index)} = ${result(value(name, index))}, times the whole kernel, is added to its window in <var>dx</var>. Press Play to see it.`;
  }
  return "";
}

// The sum that col2im forms, each number with its origin.
function inputText(index, list) {
  const copies = new Map();
  for (const t of list) copies.set(`${t.r},${t.p}`, [...(copies.get(`${t.r},${t.p}`) ?? []), t]);
  const shown = [...copies.values()].map((group) => {
    const [{ r, p }] = group;
    const inner = group.map((t) => `${factor("w", value("w", indexIn.w(t)))}·${factor("dy", value("dy", indexIn.y(t)))}`);
    const sum = group.length > 1 ? `(${inner.join(" + ")})` : inner[0];
    return `<span class="term" data-value="${arrays.dcolumns[r][p]}">${sum}</span>`;
  });
  const values = [...copies.values()].map(([{ r, p }]) => factor("columns", arrays.dcolumns[r][p]));
  const through = shown.length > 1 ? `${values.join(" + ")} = ` : "";
  const total = value("dx", index);
  const end = isPadding("dx", index) ? "<small>This is padding: the sum is cut off.</small>"
    : shown.length ? `<small>kernel · gradient, one product for each window that holds ${label("x", index)}: ${shown.length} of them</small>`
    : "<small>No window holds it: no gradient.</small>";
  return `${symbol("dx", index)} = ${shown.join(" + ") || "nothing"} = ${through}${result(total)}<br>${end}`;
}

function poolText(name, index, list) {
  if (baseOf(name) === "y") {
    const winner = arrays.winners[index[1]][index[2]];
    const window = list.filter((t) => !isPadding("x", indexIn.x(t))).map((t) => factor("x", value("x", indexIn.x(t))));
    if (!winner) return `${symbol("y", index)} = ${result(-Infinity)}: there is only padding in its window.`;
    const place = [0, winner.row, winner.column];
    return `${symbol("y", index)} = max(${window.join(", ")}) = <b>${text(value("y", index))}</b>, ★ ${symbol("x", place)}.
      Back: ${symbol("dy", index)} = ${result(value("dy", index))} goes to ${symbol("dx", place)}.`;
  }
  const won = list.filter((t) => {
    const winner = arrays.winners[t.i][t.j];
    return winner && winner.row === t.row && winner.column === t.column;
  });
  const shown = won.map((t) => `<span class="term" data-value="${value("dy", indexIn.y(t))}">${factor("dy", value("dy", indexIn.y(t)))}</span>`);
  if (isPadding("x", index)) return `Padding: it never wins.`;
  return `${symbol("dx", index)} = ${shown.join(" + ") || "nothing"} = ${result(value("dx", index))}
    <br><small>${symbol("x", index)} lies in ${list.length} ${list.length === 1 ? "window" : "windows"} and is the largest (★) of ${won.length}</small>`;
}

function stepText(step) {
  const before = partial(state.step - 1), name = VIEWS[state.view].result, { selected, p } = step;
  if (name === "y") return sumText();
  const [, i, j] = selected.name === "dcolumns" ? [0, Math.floor(p / g.OW), p % g.OW] : selected.index;
  const shown = [...sumUp(step.added)].map(([at, number]) => {
    const index = at.split(",").map(Number), old = before[at] ?? 0;
    return `<span class="term">${symbol(name, index)} ${text(old)} + ${factor(name === "dw" || state.view === "pool" ? "y" : "columns", number)} = <b>${text(old + number)}</b></span>`;
  });
  const source = range(g.O).map((o) => `${symbol("dy", [o, i, j])} = ${text(arrays.dy[o][i][j])}`).join(", ");
  const what = {
    weight: `${source}, times its window, is added to the kernel's gradient:`,
    input: `${source}, times the kernel, is added to its window:`,
    all: `${source}, times the kernel, is added to its window:`,
    pool: `${source} goes to the winner of its window:`,
  }[state.view];
  const most = shown.length > 9 ? [...shown.slice(0, 8), "…"] : shown;
  return `${selected.name === "dcolumns" ? `${symbol("dcolumns", selected.index)} is added where im2col took it from:` : what}
    <br>${most.join(" &nbsp; ") || "nobody"}`;
}

// --- acting ------------------------------------------------------------------------------------------------

function select(name, index) {
  state.selected = { name, index };
  if (state.step !== null) state.step = null;
  paint();
}

function goTo(step) {
  state.step = Math.max(0, Math.min(step, walk.length));
  if (state.step > 0) state.selected = walk[state.step - 1].selected;
  paint();
}

function play() {
  if (state.timer !== null) return pause();
  if (state.step === null || state.step === walk.length) goTo(0);
  state.timer = setInterval(() => {
    if (state.step + 1 >= walk.length) {
      goTo(walk.length);
      pause();
    } else goTo(state.step + 1);
  }, Number(element("speed").value));
  paint();
}

function pause() {
  clearInterval(state.timer);
  const was = state.timer !== null;
  state.timer = null;
  if (was) paint();
}

function show(view) {
  pause();
  const changesForm = (view === "pool") !== (state.view === "pool");
  state.view = view;
  // A view begins with the sum that it is about: of the cell that the last one left, if it has such a sum.
  const itsOwn = state.selected && baseOf(state.selected.name) === baseOf(VIEWS[view].result);
  if (changesForm || !(itsOwn || view === "all")) state.selected = null;
  element("error").textContent = "";
  makeForm();
  build();
}

function indexOf(td) {
  return td.dataset.index.split(",").map(Number);
}

function focusCell(td) {
  for (const other of td.closest("[role=grid]").querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  td.tabIndex = 0;
  td.focus();
}

// The cell that lies in the direction of the arrow, by where it is on the screen: the cells of one row, or column, first.
function neighbour(td, key) {
  const here = td.getBoundingClientRect();
  const sideways = key === "ArrowLeft" || key === "ArrowRight", sign = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
  let best = null, least = Infinity;
  for (const other of td.closest("[role=grid]").querySelectorAll("[role=gridcell]")) {
    const there = other.getBoundingClientRect();
    const dx = there.left - here.left, dy = there.top - here.top;
    const along = sign * (sideways ? dx : dy), across = Math.abs(sideways ? dy : dx);
    if (along > 1 && across < 2 && along < least) [best, least] = [other, along];
  }
  return best;
}

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (key === " " && !["BUTTON", "SELECT"].includes(target.tagName)) {
    event.preventDefault();
    return play();
  }
  if (target.tagName === "INPUT" || target.tagName === "SELECT") return;
  if (target.getAttribute("role") === "tab" && ["ArrowLeft", "ArrowRight"].includes(key)) {
    const tabs = [...element("views").children], next = tabs.indexOf(target) + (key === "ArrowLeft" ? -1 : 1);
    const tab = tabs[(next + tabs.length) % tabs.length];
    tab.focus();
    return show(tab.dataset.view);
  }
  const number = Object.keys(VIEWS)[Number(key) - 1];
  if (number) return show(number);
  if (target.getAttribute("role") === "gridcell" && key.startsWith("Arrow")) {
    event.preventDefault();
    const next = neighbour(target, key);
    if (next) focusCell(next);
  }
});

const cellAt = (event) => event.target.closest?.("td[data-name]");
element("stage").addEventListener("pointerover", (event) => {
  const td = cellAt(event);
  const walks = state.step !== null && state.step < walk.length; // a hand that passes by does not end it; a click does
  if (td && state.timer === null && !walks) select(td.dataset.name, indexOf(td));
});
element("stage").addEventListener("click", (event) => {
  const td = cellAt(event);
  if (!td) return;
  pause();
  if (td.getAttribute("role") === "gridcell") focusCell(td);
  select(td.dataset.name, indexOf(td));
});
element("stage").addEventListener("focusin", (event) => {
  const td = cellAt(event);
  if (!td) return;
  pause();
  select(td.dataset.name, indexOf(td));
});

element("geometry").addEventListener("change", readForm);
element("geometry").addEventListener("submit", (event) => event.preventDefault());
element("play").addEventListener("click", play);
element("rewind").addEventListener("click", () => (pause(), goTo(0)));
element("back").addEventListener("click", () => (pause(), goTo((state.step ?? walk.length) - 1)));
element("next").addEventListener("click", () => (pause(), goTo((state.step ?? 0) + 1)));
element("progress").addEventListener("input", (event) => (pause(), goTo(event.target.valueAsNumber)));
element("unit").addEventListener("change", build);
element("speed").addEventListener("change", () => state.timer !== null && (pause(), play()));
window.addEventListener("resize", () => (fit(), paint()));

Object.entries(VIEWS).forEach(([name, { title }], i) => {
  const tab = make("button", { type: "button", role: "tab", innerHTML: `<b>${i + 1}</b>${title}` });
  tab.dataset.view = name;
  tab.addEventListener("click", () => show(name));
  element("views").append(tab);
});
show("forward");
