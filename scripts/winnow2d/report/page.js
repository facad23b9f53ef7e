"use strict";
for (const round of document.querySelectorAll(".round")) {
  const ascending = {resolution: true, class: true};
  round.querySelector(".sort").addEventListener("change", (event) => {
    const key = event.target.value;
    const value = (tile) => {
      const number = Number.parseFloat(tile.dataset[key]);
      return Number.isFinite(number) ? number : (ascending[key] ? Infinity : -Infinity);
    };
    for (const gallery of round.querySelectorAll(".gallery")) {
      const tiles = [...gallery.children];
      tiles.sort((a, b) => {
        const [x, y] = ascending[key] ? [value(a), value(b)] : [value(b), value(a)];
        return (x === y ? 0 : x - y) || a.dataset.class - b.dataset.class;
      });
      gallery.append(...tiles);
    }
  });

  const light = (number, on) => {
    for (const part of round.querySelectorAll(`[data-class="${number}"]`)) part.classList.toggle("lit", on);
  };
  for (const part of round.querySelectorAll(".tile, .chart [data-class]")) {
    part.addEventListener("pointerenter", () => light(part.dataset.class, true));
    part.addEventListener("pointerleave", () => light(part.dataset.class, false));
  }

  const dialog = round.querySelector("dialog");
  const names = [...round.querySelectorAll(".features thead th")].map((cell) => cell.textContent);
  for (const tile of round.querySelectorAll(".tile")) {
    tile.addEventListener("click", () => {
      const number = tile.dataset.class;
      const row = round.querySelector(`.features tr[data-class="${number}"]`);
      dialog.querySelector("h3").textContent = `Class ${number}`;
      dialog.querySelector(".average").style.backgroundPosition =
        tile.querySelector(".average").style.backgroundPosition;
      const list = dialog.querySelector("dl");
      list.replaceChildren();
      [...row.cells].forEach((cell, index) => {
        if (index === 0) return;
        const term = document.createElement("dt");
        const text = document.createElement("dd");
        term.textContent = names[index];
        text.textContent = cell.textContent;
        list.append(term, text);
      });
      dialog.showModal();
    });
  }
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}
