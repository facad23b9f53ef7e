// All about one class: its average large, every feature, the rule that decided, and the reason a person gives.

class Details {
  constructor(root, round, choice, gallery) {
    Object.assign(this, {root, round, choice, gallery, dialog: root.querySelector("dialog.about")});
    this.names = [...round.querySelectorAll(".features thead th")].map((cell) => cell.textContent);
    this.why = this.dialog.querySelector(".why");
    this.by = this.dialog.querySelector(".by");
    this.why.addEventListener("change", () => this.take());
    this.by.addEventListener("change", () => this.take());
    this.dialog.querySelector(".turn").addEventListener("click", () => choice.toggle(this.id));
    this.dialog.querySelector(".release").addEventListener("click", () => choice.release(this.id));
    for (const button of this.dialog.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    }
    this.dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("input")) return;
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (step) this.step(step);
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("close", () => {
      this.take(); // not every browser tells of a change in a field that vanishes
      this.gallery.focus(this.gallery.tiles.get(this.id));
    });
  }

  take() { this.choice.say(this.id, {why: this.why.value.trim(), by: this.by.value.trim()}); }

  step(by) {
    const tiles = this.gallery.visible();
    const at = tiles.indexOf(this.gallery.tiles.get(this.id));
    const next = tiles[(at + by + tiles.length) % tiles.length];
    if (next) this.open(Number(next.dataset.class));
  }

  open(id) {
    this.id = id;
    const tile = this.gallery.tiles.get(id);
    this.dialog.querySelector("h3").textContent = `Class ${id}`;
    this.dialog.querySelector(".average").style.backgroundPosition =
      tile.querySelector(".average").style.backgroundPosition;
    const cells = [...this.round.querySelector(`.features tr[data-class="${id}"]`).cells];
    const parts = cells.flatMap((cell, index) => {
      if (index < 3) return [];
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = this.names[index];
      text.textContent = cell.textContent;
      return [term, text];
    });
    this.dialog.querySelector("dl").replaceChildren(...parts);
    this.rule = `${this.names[1]}: ${cells[1].textContent}, ${cells[2].textContent}`;
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
  }

  draw() {
    if (!this.id) return;
    const entry = this.choice.now.entries[this.id], kept = entry.kept;
    const isEmpty = !this.choice.about.get(this.id).count;
    const turn = this.dialog.querySelector(".turn");
    turn.textContent = isEmpty ? "No particles" : kept ? "Drop this class" : "Keep this class";
    for (const part of [turn, this.why, this.by]) part.disabled = isEmpty;
    this.dialog.querySelector(".release").hidden = this.choice.data.isManual || isEmpty || !this.choice.isNamed(this.id);
    const mine = this.choice.isUnsaved(this.id) ? ` Now: ${kept ? "kept" : "dropped"} by you, ${this.choice.isSaved ? "saved" : "not yet saved"}.` : "";
    this.dialog.querySelector(".reason").textContent = `${this.rule}.${mine}`;
    this.dialog.querySelector(".closeup").classList.toggle("is-dropped", !kept);
    this.why.value = entry.why;
    this.by.value = entry.by;
  }
}
