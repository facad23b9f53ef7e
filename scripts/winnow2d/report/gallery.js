// The class averages of a round: which are shown, in which order, and how one moves among them.

const ASCENDING = {resolution: true, id: true, view: true};

class Gallery {
  constructor(root, choice, showAbout) {
    this.root = root;
    this.choice = choice;
    this.grid = root.querySelector(".gallery");
    this.tiles = new Map([...this.grid.querySelectorAll(".tile")].map((tile) => [Number(tile.dataset.class), tile]));
    this.trial = null;
    this.shown = "all";
    this.grid.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (!tile) return;
      this.makeCurrent(tile);
      if (event.target.closest(".more")) showAbout(Number(tile.dataset.class));
      else this.choice.toggle(Number(tile.dataset.class));
    });
    this.grid.addEventListener("keydown", (event) => this.onKey(event, showAbout));
    root.querySelector(".sort").addEventListener("change", (event) => this.sort(event.target.value));
    for (const chip of root.querySelectorAll("[data-show]")) {
      chip.addEventListener("click", () => this.show(chip.dataset.show));
    }
    this.makeCurrent(this.visible()[0]);
  }

  visible() { return [...this.grid.querySelectorAll(".tile:not([hidden])")]; }

  makeCurrent(tile) {
    for (const button of this.grid.querySelectorAll('[tabindex="0"]')) button.tabIndex = -1;
    for (const button of tile?.querySelectorAll("button") ?? []) button.tabIndex = 0;
  }

  onKey(event, showAbout) {
    const tile = event.target.closest(".tile");
    if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "i") return showAbout(Number(tile.dataset.class));
    const tiles = this.visible();
    const columns = tiles.filter((other) => other.offsetTop === tiles[0].offsetTop).length;
    const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns};
    const at = tiles.indexOf(tile);
    const ends = {Home: 0, End: tiles.length - 1};
    const to = event.key in ends ? ends[event.key] : at + (steps[event.key] ?? NaN);
    if (Number.isNaN(to)) return;
    event.preventDefault();
    if (tiles[to]) this.focus(tiles[to]);
  }

  focus(tile) {
    this.makeCurrent(tile);
    tile.querySelector(".pick").focus();
  }

  goTo(id) {
    const tile = this.tiles.get(id);
    if (tile.hidden) this.show("all");
    tile.scrollIntoView({block: "center"});
    this.focus(tile);
  }

  sort(key) {
    const value = (id) => {
      const item = this.choice.about.get(id);
      const number = key === "decision" ? (this.choice.isKept(id) ? 1 : 0) : item[key];
      return number ?? (ASCENDING[key] ? Infinity : -Infinity);
    };
    const score = (id) => this.choice.about.get(id).score ?? -1;
    const order = [...this.tiles.keys()].sort((a, b) => {
      const [x, y] = ASCENDING[key] ? [value(a), value(b)] : [value(b), value(a)];
      return (x === y ? 0 : x - y) || score(b) - score(a) || a - b;
    });
    this.grid.append(...order.map((id) => this.tiles.get(id)));
    this.makeCurrent(this.visible()[0]);
  }

  isOf(word, id) {
    return {all: true, kept: this.choice.isKept(id), dropped: !this.choice.isKept(id), changed: this.choice.isChanged(id)}[word];
  }

  // A tile that is clicked stays until a filter is chosen again: nothing jumps away under the pointer.
  show(word) {
    this.shown = word;
    for (const [id, tile] of this.tiles) tile.hidden = !this.isOf(word, id);
    for (const chip of this.root.querySelectorAll("[data-show]")) {
      chip.setAttribute("aria-pressed", String(chip.dataset.show === word));
    }
    const seen = this.visible();
    this.root.querySelector(".nothing").hidden = seen.length > 0 || this.tiles.size === 0;
    this.makeCurrent(seen[0]);
  }

  draw() {
    const unsaved = this.choice.isSaved ? "saved" : "unsaved";
    for (const [id, tile] of this.tiles) {
      const kept = this.choice.isKept(id), item = this.choice.about.get(id);
      const would = this.trial === null ? kept : this.choice.wouldKeep(item, this.trial);
      tile.classList.toggle("kept", kept);
      tile.classList.toggle("dropped", !kept);
      tile.classList.toggle("would-keep", would && !kept);
      tile.classList.toggle("would-drop", !would && kept);
      tile.querySelector(".pick").setAttribute("aria-checked", String(kept));
      tile.querySelector(".flag").textContent = this.choice.isUnsaved(id) ? unsaved : this.flag(id);
    }
    for (const chip of this.root.querySelectorAll("[data-show]")) {
      chip.querySelector("b").textContent = this.choice.count((id) => this.isOf(chip.dataset.show, id));
    }
  }

  flag(id) {
    if (this.choice.data.isPending) return "";
    const entry = this.choice.now.entries[id];
    return !this.choice.data.isManual && this.choice.isNamed(id) ? `by ${entry.by || "hand"}` : "";
  }
}
