"use strict";
function value(cell) {
  const text = cell.textContent.trim();
  const number = parseFloat(text.replace(",", ""));
  return text === "" || text === "-" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
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
for (const map of document.querySelectorAll(".map")) {
  const tip = map.querySelector(".tip"), picture = tip.querySelector("div"), words = tip.querySelector("span");
  const side = Number(map.dataset.side), columns = Number(map.dataset.columns), sheet = map.querySelector("img").src;
  map.addEventListener("pointermove", (event) => {
    const dot = event.target.closest("circle");
    tip.style.display = dot ? "block" : "none";
    if (!dot) return;
    const index = Number(dot.dataset.index), box = map.getBoundingClientRect();
    picture.style.cssText = `width:${side}px;height:${side}px;background-image:url(${sheet});` +
      `background-position:-${(index % columns) * side}px -${Math.floor(index / columns) * side}px`;
    words.textContent = dot.getAttribute("aria-label");
    tip.style.left = `${Math.min(event.clientX - box.left + 12, box.width - 120)}px`;
    tip.style.top = `${event.clientY - box.top + 12}px`;
  });
  map.addEventListener("pointerleave", () => { tip.style.display = "none"; });
}
