"use strict";
function value(cell) {
  const text = cell.textContent.trim();
  if (text === "" || text === "-") return null;
  const number = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : parseFloat(text);
  return Number.isNaN(number) ? text.toLowerCase() : number;
}
for (const table of document.querySelectorAll("table.sort")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => {
        const a = value(one.cells[column]), b = value(other.cells[column]);
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
        return down ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
for (const input of document.querySelectorAll("input[data-filter]")) {
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.getElementById(input.dataset.filter).tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}
const SHOWN = 64; // pixels of a picture beside the map
for (const map of document.querySelectorAll(".map")) {
  const chart = map.querySelector("svg"), dots = [...chart.querySelectorAll("circle")];
  const tip = map.querySelector(".tip"), picture = tip.querySelector("div"), words = tip.querySelector("span");
  const columns = Number(map.dataset.columns), sheet = map.querySelector("img").src;
  let chosen = -1;
  const show = (index) => {
    dots[chosen]?.classList.remove("on");
    chosen = index;
    tip.style.display = index < 0 ? "none" : "block";
    if (index < 0) return;
    const box = map.getBoundingClientRect(), at = dots[index].getBoundingClientRect();
    dots[index].classList.add("on");
    picture.style.cssText = `width:${SHOWN}px;height:${SHOWN}px;background-image:url(${sheet});` +
      `background-size:${columns * SHOWN}px auto;` +
      `background-position:-${(index % columns) * SHOWN}px -${Math.floor(index / columns) * SHOWN}px`;
    words.textContent = dots[index].getAttribute("aria-label");
    tip.style.left = tip.style.top = "0";
    tip.style.left = `${Math.max(0, Math.min(at.right - box.left + 8, box.width - tip.offsetWidth))}px`;
    tip.style.top = `${at.bottom - box.top + 8}px`;
  };
  const nearest = (event) => {
    let found = -1, least = event.pointerType === "mouse" ? 10 : 24;
    dots.forEach((dot, index) => {
      const at = dot.getBoundingClientRect();
      const far = Math.hypot(event.clientX - at.x - at.width / 2, event.clientY - at.y - at.height / 2);
      if (far < least) [found, least] = [index, far];
    });
    return found;
  };
  chart.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") show(nearest(event)); });
  chart.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(-1); });
  document.addEventListener("pointerdown", (event) => show(chart.contains(event.target) ? nearest(event) : -1));
  chart.addEventListener("focus", () => { if (chart.matches(":focus-visible") && chosen < 0) show(0); });
  chart.addEventListener("blur", () => show(-1));
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) show((chosen + step + dots.length) % dots.length);
    else if (event.key === "Escape") show(-1);
    if (step) event.preventDefault();
  });
}
