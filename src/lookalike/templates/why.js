"use strict";
// Which part goes with which, and the overlay wiped away. Without this the page says the same, but stands still.

const ways = JSON.parse(document.getElementById("parts").textContent);
const told = document.getElementById("part-told");
const sides = ["a", "b"].map((key) => {
  const place = document.getElementById("picture-" + key);
  return { key, place, marks: place.querySelectorAll("polygon"), at: 0 };
});
let way = ways[0];
let active = sides[0];

function cell(grid, number) {
  const [left, top, right, bottom] = grid.box;
  const row = Math.floor(number / grid.cols), col = number % grid.cols;
  const x = (n) => left + (right - left) * n / grid.cols, y = (n) => top + (bottom - top) * n / grid.rows;
  return [[x(col), y(row)], [x(col + 1), y(row)], [x(col + 1), y(row + 1)], [x(col), y(row + 1)]];
}

function moved(points, m) {
  return points.map(([x, y]) => {
    const depth = m[6] * x + m[7] * y + m[8];
    return [(m[0] * x + m[1] * y + m[2]) / depth, (m[3] * x + m[4] * y + m[5]) / depth];
  });
}

function mark(side, points) {
  const text = points ? points.map((point) => point.map((n) => n.toFixed(4)).join(",")).join(" ") : "";
  side.marks.forEach((polygon) => polygon.setAttribute("points", text));
}

function name(grid, number) {
  return "row " + (Math.floor(number / grid.cols) + 1) + ", column " + (number % grid.cols + 1);
}

function show(side, number) {
  const other = sides[1 - sides.indexOf(side)];
  const grid = way[side.key], own = cell(grid, number);
  const which = ["first", "second"];
  active = side;
  side.at = number;
  mark(side, own);
  const here = "The " + which[sides.indexOf(side)] + " picture's " + name(grid, number);
  const there = "the " + which[sides.indexOf(other)];
  if (grid.move) {
    const points = moved(own, grid.move);
    const seen = points.some(([x, y]) => x > 0 && x < 1 && y > 0 && y < 1);
    mark(other, seen ? points : null);
    told.textContent = here + (seen ? " is at the place that is marked in " : " lies outside of ") + there + ".";
  } else {
    mark(other, cell(way[other.key], grid.best[number]));
    told.textContent = here + " looks most like " + there + "'s " + name(way[other.key], grid.best[number])
      + ": cosine " + grid.cosine[number].toFixed(2) + ".";
  }
}

function pointed(side, event) {
  const grid = way[side.key], frame = side.place.getBoundingClientRect(), [left, top, right, bottom] = grid.box;
  const x = ((event.clientX - frame.left) / frame.width - left) / (right - left) * grid.cols;
  const y = ((event.clientY - frame.top) / frame.height - top) / (bottom - top) * grid.rows;
  if (x < 0 || y < 0 || x >= grid.cols || y >= grid.rows) {
    sides.forEach((each) => mark(each, null));
    told.textContent = "The model does not see this part.";
    return;
  }
  show(side, Math.floor(y) * grid.cols + Math.floor(x));
}

function stepped(side, event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const { rows, cols } = way[side.key];
  const row = Math.min(rows - 1, Math.max(0, Math.floor(side.at / cols) + step[0]));
  const col = Math.min(cols - 1, Math.max(0, side.at % cols + step[1]));
  show(side, row * cols + col);
}

function middle(grid) {
  return Math.floor(grid.rows / 2) * grid.cols + Math.floor(grid.cols / 2);
}

if (ways.length) {
  document.getElementById("part-controls").hidden = false;
  sides.forEach((side, i) => {
    side.at = middle(way[side.key]);
    side.place.classList.add("live");
    side.place.tabIndex = 0;
    side.place.setAttribute("role", "application");
    side.place.setAttribute("aria-label", "picture " + (i + 1) + ": move from part to part with the arrow keys");
    side.place.addEventListener("pointermove", (event) => pointed(side, event));
    side.place.addEventListener("pointerdown", (event) => pointed(side, event));
    side.place.addEventListener("keydown", (event) => stepped(side, event));
    side.place.addEventListener("focus", () => {
      if (side.place.matches(":focus-visible")) show(side, side.at);
    });
  });
  document.querySelectorAll("input[name=way]").forEach((input) => input.addEventListener("change", () => {
    way = ways[Number(input.value)];
    sides.forEach((side) => { side.at = middle(way[side.key]); });
    show(active, active.at);
  }));
  show(active, active.at);
}

const wipe = document.getElementById("wipe");
if (wipe) {
  wipe.hidden = false;
  wipe.querySelector("input").addEventListener("input", (event) => {
    document.getElementById("wiped").style.setProperty("--cut", event.target.value + "%");
  });
}
