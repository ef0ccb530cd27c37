// The map: points drawn straight into pixels, small pictures over them as one comes closer, a lasso to list images.

import { followed } from "./jobs.js";

const working = document.querySelector("[data-job]");
if (working) followed(working).then((job) => { if (job.state === "done") location.reload(); });

const box = document.getElementById("map");
if (box) start();

async function start() {
  const { collection, model, method, by, state } = box.dataset;
  const tile = Number(box.dataset.tile), side = Number(box.dataset.side), chunk = Number(box.dataset.chunk);
  const columns = Number(box.dataset.columns), rows = Number(box.dataset.rows);
  const query = new URLSearchParams({ collection, model, method, state });
  box.hidden = false;

  const canvas = document.getElementById("plane"), pen = canvas.getContext("2d");
  const answer = await fetch("/v1/map?" + new URLSearchParams({ collection, model, method, by }));
  if (!answer.ok) throw new Error("no points: " + answer.status);
  const buffer = await answer.arrayBuffer(), floats = new Float32Array(buffer), whole = new Uint32Array(buffer);
  const count = whole.length / 4;
  const group = Uint32Array.from({ length: count }, (_, i) => whole[4 * i + 2]);
  const cell = Uint32Array.from({ length: count }, (_, i) => whole[4 * i + 3]);
  const wide = columns / rows;  // the plane is 1 high
  const places = {
    scatter: [Float32Array.from(group, (_, i) => floats[4 * i] * wide), Float32Array.from(group, (_, i) => floats[4 * i + 1])],
    grid: [Float32Array.from(cell, (c) => (c % columns + .5) / rows), Float32Array.from(cell, (c) => (Math.floor(c / columns) + .5) / rows)],
  };
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // -- the view: pixel = place * scale + left or top, in pixels of the screen ------------------------------------

  let way = new URL(location).searchParams.get("view") === "scatter" ? "scatter" : "grid";
  let [xs, ys] = places[way];
  let width = 0, height = 0, ratio = 1, fit = 1, scale = 1, left = 0, top = 0;
  let image, pixels, colours, drawn = 0, moving = null, glide = null, lasso = null, chosen = null;

  function sized() {
    const before = fit;
    ratio = Math.min(devicePixelRatio || 1, 2);
    width = canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    height = canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    image = pen.createImageData(width, height);
    pixels = new Uint32Array(image.data.buffer);
    fit = Math.min(width / wide, height) * .98;
    if (!drawn || scale === before) all(); else draw();
  }

  /** The colours of the style sheet, as pixels: they change with the theme. */
  function coloured() {
    const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    colours = Array.from({ length: 12 }, (_, i) => {
      probe.fillStyle = getComputedStyle(box.querySelector(`.colour${i}`) ?? box.querySelector("svg")).fill;
      probe.fillRect(0, 0, 1, 1);
      return new Uint32Array(probe.getImageData(0, 0, 1, 1).data.buffer)[0];
    });
    draw();
  }

  function all() { look(fit, (width - fit * wide) / 2, (height - fit) / 2); }

  function look(toScale, toLeft, toTop) {
    glide = null;
    scale = toScale;  // and something of the map stays in sight
    left = Math.min(Math.max(toLeft, width / 4 - scale * wide), width * 3 / 4);
    top = Math.min(Math.max(toTop, height / 4 - scale), height * 3 / 4);
    draw();
  }

  function zoom(factor, x = width / 2, y = height / 2) {
    const to = Math.min(Math.max(scale * factor, fit / 4), fit * Math.max(8, rows));
    look(to, x - (x - left) * to / scale, y - (y - top) * to / scale);
  }

  function zoomSmoothly(factor) {
    if (still.matches) return zoom(factor);
    let done = 1;
    const began = performance.now();
    const step = (now) => {
      if (glide !== step) return;
      const share = Math.min(1, Math.max(0, (now - began) / 180)), next = factor ** (share * (2 - share));
      zoom(next / done);
      done = next;
      if (share < 1) { glide = step; requestAnimationFrame(step); }
    };
    glide = step;
    requestAnimationFrame(step);
  }

  function change(to) {
    if (to === way) return;
    const from = [Float32Array.from(xs), Float32Array.from(ys)], [toX, toY] = places[way = to];
    noted("view", way);
    pressed();
    const began = performance.now();
    const step = (now) => {
      if (moving !== step) return;
      const share = still.matches ? 1 : Math.min(1, Math.max(0, (now - began) / 500)), eased = share * share * (3 - 2 * share);
      if (share === 1) { [xs, ys] = places[way]; moving = null; return draw(); }
      for (let i = 0; i < count; i++) {
        xs[i] = from[0][i] + (toX[i] - from[0][i]) * eased;
        ys[i] = from[1][i] + (toY[i] - from[1][i]) * eased;
      }
      draw();
      requestAnimationFrame(step);
    };
    [xs, ys] = [Float32Array.from(xs), Float32Array.from(ys)];
    moving = step;
    requestAnimationFrame(step);
  }

  /** The address says how the map is looked at, so that a reload shows the same. */
  function noted(name, value) {
    const address = new URL(location);
    if (value) address.searchParams.set(name, value); else address.searchParams.delete(name);
    history.replaceState(null, "", address);
  }

  // -- drawing ---------------------------------------------------------------------------------------------------

  let asked = false;
  function draw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; paint(); });
  }

  function paint() {
    drawn++;
    const seen = inView();
    const room = Math.min(scale * wide, width) * Math.min(scale, height);
    const size = way === "grid" && !moving ? scale / rows : .7 * Math.sqrt(room / Math.max(1, seen.length));
    const pictures = size >= (way === "grid" ? 12 : 22) * ratio && !moving;
    pixels.fill(0);
    if (!pictures) dots(seen, Math.max(1.5 * ratio, Math.min(7 * ratio, way === "grid" ? size * .8 : size * .5)));
    pen.putImageData(image, 0, 0);
    if (pictures) thumbnails(seen, Math.min(size * .94, 200 * ratio));
    if (lasso) outline();
    canvas.dataset.frames = drawn;
  }

  function inView() {
    const found = [], edge = 8 * ratio + (way === "grid" ? scale / rows : 0);
    for (let i = 0; i < count; i++) {
      const x = xs[i] * scale + left, y = ys[i] * scale + top;
      if (x > -edge && y > -edge && x < width + edge && y < height + edge) found.push(i);
    }
    return found;
  }

  /** Discs of so many pixels, or squares on the grid; those that are not chosen are fainter, and lie below. */
  function dots(seen, across) {
    const most = Math.max(1, Math.round(across)), mask = [];
    const radius = most / 2;
    for (let y = 0; y < most; y++) {
      for (let x = 0; x < most; x++) {
        if (way === "grid" || (x + .5 - radius) ** 2 + (y + .5 - radius) ** 2 <= radius * radius + .3) mask.push([x, y]);
      }
    }
    const faint = colours.map((colour) => (colour & 0x00ffffff) | 0x38000000);
    for (const upper of chosen ? [false, true] : [true]) {
      for (const i of seen) {
        if (chosen && chosen.has(i) !== upper) continue;
        const x0 = Math.round(xs[i] * scale + left - radius), y0 = Math.round(ys[i] * scale + top - radius);
        const colour = (upper ? colours : faint)[group[i]];
        for (const [dx, dy] of mask) {
          const x = x0 + dx, y = y0 + dy;
          if (x >= 0 && y >= 0 && x < width && y < height) pixels[y * width + x] = colour;
        }
      }
    }
  }

  function thumbnails(seen, size) {
    const large = size > side * 1.5 * ratio, border = Math.max(1, Math.round(size / 24));
    for (const i of seen) {
      const x = Math.round(xs[i] * scale + left - size / 2), y = Math.round(ys[i] * scale + top - size / 2), across = Math.round(size);
      pen.globalAlpha = chosen && !chosen.has(i) ? .25 : 1;
      pen.fillStyle = hex(colours[group[i]]);
      pen.fillRect(x, y, across, across);
      const single = large && picture(i);
      const inner = across - 2 * border;
      if (single) {
        const short = Math.min(single.naturalWidth, single.naturalHeight);
        pen.drawImage(single, (single.naturalWidth - short) / 2, (single.naturalHeight - short) / 2, short, short, x + border, y + border, inner, inner);
        continue;
      }
      const sheet = sheetOf(Math.floor(i / (tile * tile))), own = i % (tile * tile);
      if (sheet) pen.drawImage(sheet, (own % tile) * side, Math.floor(own / tile) * side, side, side, x + border, y + border, inner, inner);
    }
    pen.globalAlpha = 1;
  }

  function hex(colour) {
    return `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
  }

  function outline() {
    pen.beginPath();
    lasso.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.lineWidth = 2 * ratio;
    pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
    pen.stroke();
    pen.globalAlpha = .12;
    pen.fill();
    pen.globalAlpha = 1;
  }

  // -- pictures: sheets of many while they are small, one by one when they are large ------------------------------

  const sheets = new Map(), singles = new Map();
  let loading = 0, wanted = [];

  function kept(cache, key, most, make) {
    let found = cache.get(key);
    if (found !== undefined) cache.delete(key); else found = make();
    cache.set(key, found);  // the last that was used is the last to go
    while (cache.size > most) cache.delete(cache.keys().next().value);
    return found;
  }

  function sheetOf(number) {
    return kept(sheets, number, 160, () => { wanted.push(number); queueMicrotask(fetchSheets); return null; });
  }

  function fetchSheets() {
    while (loading < 4 && wanted.length) {
      const number = wanted.pop();  // what was asked for last is what is looked at
      if (!sheets.has(number)) continue;
      loading++;
      const sheet = new Image();
      sheet.onload = () => { loading--; sheets.set(number, sheet); draw(); fetchSheets(); };
      sheet.onerror = () => { loading--; fetchSheets(); };
      sheet.src = `/v1/map/tiles/${number}?${query}`;
    }
  }

  function picture(i) {
    const held = kept(singles, i, 400, () => {
      const one = new Image();
      one.onload = draw;
      idOf(i).then((id) => { one.src = "/thumbnails/" + id; });
      return one;
    });
    return held.complete && held.naturalWidth ? held : null;
  }

  const chunks = new Map();
  async function idOf(i) {
    const number = Math.floor(i / chunk);
    if (!chunks.has(number)) {
      const part = new URLSearchParams({ start: number * chunk, count: chunk });
      chunks.set(number, fetch(`/v1/map/ids?${query}&${part}`).then((found) => found.arrayBuffer()));
    }
    const bytes = new Uint8Array(await chunks.get(number), (i % chunk) * 32, 32);
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // -- lists -----------------------------------------------------------------------------------------------------

  const list = document.getElementById("list"), title = document.getElementById("listed"), more = document.getElementById("more");
  const page = 120;
  let listed = [];

  /** List images; `whole` is the group that they are, if they are one. */
  async function tell(found, what, whole) {
    listed = found;
    noted("listed", whole);
    chosen = found.length ? new Set(found) : null;
    list.replaceChildren();
    title.textContent = found.length ? `${found.length.toLocaleString()} ${found.length === 1 ? "image" : "images"} ${what}` : `No image ${what}`;
    draw();
    await further();
  }

  async function further() {
    const from = list.children.length, own = listed, part = own.slice(from, from + page);
    const [names, ...ids] = await Promise.all([namesOf(part), ...part.map(idOf)]);
    if (own !== listed) return;
    list.append(...ids.map((id, i) => {
      const item = document.createElement("li"), link = document.createElement("a"), small = new Image(160, 160);
      link.href = "/search?" + new URLSearchParams({ collection, image: id });
      small.alt = names[i] || `Image ${from + i + 1}`;
      small.loading = "lazy";
      small.src = "/thumbnails/" + id;
      link.append(small);
      item.append(link);
      return item;
    }));
    more.hidden = list.children.length >= listed.length;
  }
  more.addEventListener("click", further);

  async function namesOf(part) {
    const numbers = new URLSearchParams(part.map((i) => ["number", i]));
    const found = part.length ? await fetch(`/map/names?${query}&${numbers}`) : null;
    return found?.ok ? found.json() : [];
  }

  function listView() {
    const found = [];
    for (let i = 0; i < count; i++) {
      const x = xs[i] * scale + left, y = ys[i] * scale + top;
      if (x >= 0 && y >= 0 && x < width && y < height) found.push(i);
    }
    tell(found, "in view");
  }

  function listLasso() {
    const outlined = lasso;
    lasso = null;
    if (outlined.length < 3) return draw();
    const found = [];
    for (let i = 0; i < count; i++) {
      if (within(outlined, xs[i] * scale + left, ys[i] * scale + top)) found.push(i);
    }
    return tell(found, "inside the line");
  }

  function within(outlined, x, y) {
    let inside = false;
    for (let i = 0, j = outlined.length - 1; i < outlined.length; j = i++) {
      const [ax, ay] = outlined[i], [bx, by] = outlined[j];
      if (ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax) inside = !inside;
    }
    return inside;
  }

  function pick(x, y) {
    let best = -1, nearest = Math.max(12 * ratio, way === "grid" ? .5 * scale / rows : 0) ** 2 * 2;
    for (let i = 0; i < count; i++) {
      const far = (xs[i] * scale + left - x) ** 2 + (ys[i] * scale + top - y) ** 2;
      if (far < nearest) [best, nearest] = [i, far];
    }
    tell(best < 0 ? [] : [best], "here");
  }

  // -- mouse, pen and fingers ------------------------------------------------------------------------------------

  const fingers = new Map();
  let lassoing = false, pressedAt = null;
  const at = (event) => [event.offsetX * ratio, event.offsetY * ratio];

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    glide = null;
    pressedAt = fingers.size === 1 ? at(event) : null;
    if (fingers.size === 1 && (lassoing || event.shiftKey)) lasso = [at(event)];
    else { lasso = null; canvas.classList.add("held"); }
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const was = fingers.get(event.pointerId), now = at(event);
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    fingers.set(event.pointerId, now);
    if (pressedAt && Math.hypot(now[0] - pressedAt[0], now[1] - pressedAt[1]) > 4 * ratio) pressedAt = null;
    if (lasso) { lasso.push(now); draw(); }
    else if (other) {
      const apart = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(was[0] - other[0], was[1] - other[1]));
      zoom(apart, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      look(scale, left + (now[0] - was[0]) / 2, top + (now[1] - was[1]) / 2);
    } else look(scale, left + now[0] - was[0], top + now[1] - was[1]);
  });

  function released(event) {
    if (!fingers.delete(event.pointerId)) return;
    canvas.classList.remove("held");
    if (lasso && event.type === "pointerup") listLasso();
    else if (pressedAt && event.type === "pointerup") pick(...pressedAt);
    lasso = pressedAt = null;
    draw();
  }
  canvas.addEventListener("pointerup", released);
  canvas.addEventListener("pointercancel", released);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 20 : 1;
    zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY * lines)) * (event.ctrlKey ? .01 : .0022)), ...at(event));
  }, { passive: false });

  // -- keys and buttons ------------------------------------------------------------------------------------------

  const acts = {
    scatter: () => change("scatter"),
    grid: () => change("grid"),
    lasso: () => { lassoing = !lassoing; pressed(); },
    closer: () => zoomSmoothly(1.6),
    farther: () => zoomSmoothly(1 / 1.6),
    all,
    list: listView,
  };
  const keys = {
    "+": acts.closer, "=": acts.closer, "-": acts.farther, 0: all, Enter: listView, Escape: () => tell([], "is listed"), g: () => change(way === "grid" ? "scatter" : "grid"),
    ArrowLeft: () => look(scale, left + width / 8, top), ArrowRight: () => look(scale, left - width / 8, top),
    ArrowUp: () => look(scale, left, top + height / 8), ArrowDown: () => look(scale, left, top - height / 8),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  function pressed() {
    const states = { scatter: way === "scatter", grid: way === "grid", lasso: lassoing };
    for (const [name, on] of Object.entries(states)) box.querySelector(`[data-do=${name}]`).setAttribute("aria-pressed", on);
    canvas.classList.toggle("lasso", lassoing);
  }

  for (const button of box.querySelectorAll("[data-do]")) button.addEventListener("click", () => acts[button.dataset.do]());
  for (const button of box.querySelectorAll("[data-group]")) {
    const number = Number(button.dataset.group), name = button.firstElementChild.nextSibling.textContent.trim();
    const list = () => tell([...group.keys()].filter((i) => group[i] === number), `in ${name}`, name);
    button.addEventListener("click", list);
    if (new URL(location).searchParams.get("listed") === name) list();
  }

  new ResizeObserver(sized).observe(canvas);
  new MutationObserver(coloured).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", coloured);
  pressed();
  sized();
  coloured();
  box.dataset.ready = "yes";
}
