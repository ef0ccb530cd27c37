// The part of a picture that is meant: drawn with the pointer, or moved and resized with the keys.

const LEAST = 0.04; // of a side: a click is no part
const NEAR = 14; // pixels from an edge that is taken hold of
const STEP = 0.02;

/** Over `place`, an element with an <img> and an <svg>; `input` holds "left,top,width,height"; `done()` searches. */
export function cropping(place, input, told, done) {
  const frame = place.querySelector(".frame"), shade = place.querySelector(".shade");
  let box = input.value ? input.value.split(",").map(Number) : null;
  let held = null;

  const show = () => {
    const [left, top, width, height] = box || [0, 0, 0, 0];
    for (const [name, value] of Object.entries({ x: left, y: top, width, height })) frame.setAttribute(name, value);
    shade.setAttribute("d", box ? `M0 0H1V1H0Z M${left} ${top}h${width}v${height}h${-width}Z` : "");
    input.value = box ? box.map((share) => share.toFixed(4)).join(",") : "";
  };
  const tell = () => {
    const percent = (share) => Math.round(100 * share) + " %";
    told.textContent = box
      ? `${percent(box[2])} by ${percent(box[3])} of the picture, ${percent(box[0])} from the left, ${percent(box[1])} from the top`
      : "The whole picture";
  };
  const at = (event) => {
    const area = place.getBoundingClientRect();
    return [within((event.clientX - area.left) / area.width), within((event.clientY - area.top) / area.height)];
  };
  const near = (event) => {
    const area = place.getBoundingClientRect();
    return [NEAR / area.width, NEAR / area.height];
  };

  place.classList.add("live");
  place.tabIndex = 0;
  place.setAttribute("role", "application");
  place.setAttribute("aria-label", "Part of the query: arrow keys move it, with Shift they resize it, Enter searches by it, Escape clears it");

  place.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    place.focus({ focusVisible: false });
    place.setPointerCapture(event.pointerId);
    held = { from: at(event), box: box && [...box], how: box ? grip(box, at(event), near(event)) : "new" };
  });
  place.addEventListener("pointermove", (event) => {
    if (!held) return;
    box = dragged(held, at(event));
    show();
  });
  place.addEventListener("pointerup", () => {
    if (!held) return;
    const before = held.box;
    held = null;
    if (box && (box[2] < LEAST || box[3] < LEAST)) box = before; // a click, no more
    show();
    tell();
    if (String(box) !== String(before)) done();
  });
  place.addEventListener("pointercancel", () => {
    if (held) box = held.box;
    held = null;
    show();
  });
  place.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (move) {
      box = box ? (event.shiftKey ? resized(box, move) : moved(box, move)) : [0.25, 0.25, 0.5, 0.5];
    } else if (event.key === "Enter") {
      done();
    } else if (event.key === "Escape" && box) {
      box = null;
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    show();
    tell();
  });
  show();
}

const within = (share, most = 1) => Math.min(most, Math.max(0, share));

function moved([left, top, width, height], [x, y]) {
  return [within(left + x, 1 - width), within(top + y, 1 - height), width, height];
}

function resized([left, top, width, height], [x, y]) {
  const grown = (size, by, from) => Math.max(LEAST, Math.min(1 - from, size + by));
  return [left, top, grown(width, x, left), grown(height, y, top)];
}

/** What a pointer takes hold of: edges ("left", "top" ...), the inside ("move"), or nothing ("new"). */
function grip([left, top, width, height], [x, y], [nearX, nearY]) {
  const beside = (value, edge, near) => Math.abs(value - edge) < near;
  if (x < left - nearX || x > left + width + nearX || y < top - nearY || y > top + height + nearY) return "new";
  const edges = [
    beside(x, left, nearX) ? "left" : beside(x, left + width, nearX) ? "right" : "",
    beside(y, top, nearY) ? "top" : beside(y, top + height, nearY) ? "bottom" : "",
  ].filter(Boolean);
  return edges.length ? edges : "move";
}

function dragged({ from, box, how }, to) {
  if (how === "move") return moved(box, [to[0] - from[0], to[1] - from[1]]);
  if (how === "new") return between(from, to);
  let [left, top, right, bottom] = [box[0], box[1], box[0] + box[2], box[1] + box[3]];
  if (how.includes("left")) left = to[0];
  if (how.includes("right")) right = to[0];
  if (how.includes("top")) top = to[1];
  if (how.includes("bottom")) bottom = to[1];
  return between([left, top], [right, bottom]);
}

function between(a, b) {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
}
