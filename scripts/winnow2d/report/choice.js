// What a person has chosen in one round, apart from how it is shown. Every change is a step that can be taken back.

class Choice {
  constructor(data) {
    this.data = data;
    this.about = new Map(data.classes.map((item) => [item.id, item]));
    this.loaded = this.start();
    this.now = this.start();
    this.past = [];
    this.future = [];
    this.listeners = [];
    this.savedText = null; // of the file as it was last saved from here
  }

  // The state as the project's files have it. An entry: kept; named (in the file); by and why of its own.
  start() {
    const entries = {};
    for (const item of this.data.classes) {
      entries[item.id] = {kept: item.kept, named: item.entry, by: item.by, why: item.why};
    }
    return {by: this.data.by, why: this.data.why, entries};
  }

  // What the rule does with a class; where the ledger does not tell, what its score would say.
  byRule(id) {
    const item = this.about.get(id);
    if (item.automatic !== null) return item.automatic;
    return this.data.threshold === null ? item.kept : item.count > 0 && item.score >= this.data.threshold;
  }

  isKept(id) { return this.now.entries[id].kept; }
  isChanged(id) { return this.isKept(id) !== this.byRule(id); }
  isUnsaved(id) { return JSON.stringify(this.now.entries[id]) !== JSON.stringify(this.loaded.entries[id]); }
  get isSaved() { return this.savedText === this.text(); }
  get isDirty() { return this.text(this.now) !== this.text(this.loaded); }

  // Whether the file has to say something about a class for its decision to hold.
  isNamed(id, state = this.now) {
    const entry = state.entries[id];
    if (this.data.isManual) return entry.kept || entry.why !== "";
    const {automatic} = this.about.get(id);
    return entry.named || entry.why !== "" || (automatic !== null && entry.kept !== automatic);
  }

  change(act) {
    const before = JSON.stringify(this.now);
    act();
    if (JSON.stringify(this.now) === before) return;
    this.past.push(before);
    this.future = [];
    this.tell();
  }

  set(id, kept) {
    const entry = this.now.entries[id];
    const first = this.loaded.entries[id];
    if (!this.about.get(id).count || entry.kept === kept) return;
    const {automatic} = this.about.get(id);
    const isBack = kept === first.kept;
    Object.assign(entry, {kept, named: automatic === null || (isBack && first.named), by: isBack ? first.by : ""});
    if (isBack && entry.why === "") entry.why = first.why;
    else if (!isBack && entry.why === first.why) entry.why = "";
  }

  toggle(id) { this.change(() => this.set(id, !this.isKept(id))); }

  say(id, words) { this.change(() => Object.assign(this.now.entries[id], words)); }

  sayOfAll(words) { this.change(() => Object.assign(this.now, words)); }

  release(id) {
    this.change(() => Object.assign(this.now.entries[id], {kept: this.byRule(id), named: false, by: "", why: ""}));
  }

  adopt(threshold) {
    this.change(() => {
      for (const item of this.data.classes) this.set(item.id, this.wouldKeep(item, threshold));
    });
  }

  wouldKeep(item, threshold) { return item.count > 0 && item.score !== null && item.score >= threshold; }

  reset() { this.change(() => { this.now = structuredClone(this.loaded); }); }

  undo() { this.step(this.past, this.future); }
  redo() { this.step(this.future, this.past); }

  step(from, to) {
    if (!from.length) return;
    to.push(JSON.stringify(this.now));
    this.now = JSON.parse(from.pop());
    this.tell();
  }

  restore(state) {
    this.now = state;
    this.tell();
  }

  tell() { for (const listener of this.listeners) listener(); }

  // Sums over the classes that a test keeps; good is null where a class with particles has no good share.
  sums(keeps = (item) => this.isKept(item.id)) {
    const sums = {classes: 0, particles: 0, good: 0, lost: 0};
    for (const item of this.data.classes) {
      const isKept = keeps(item);
      sums.classes += isKept;
      if (isKept) sums.particles += item.count;
      if (!item.count || sums.good === null) continue;
      if (item.good === null) sums.good = sums.lost = null;
      else sums[isKept ? "good" : "lost"] += item.count * item.good;
    }
    return sums;
  }

  // Views worth the name, as the selection counts them (winnow2d/selection/views.py), and those with a kept class.
  views(keeps = (item) => this.isKept(item.id)) {
    const good = (items) => items.reduce((sum, item) => sum + item.count * item.good, 0);
    const groups = new Map();
    for (const item of this.data.classes) {
      if (item.view === null || item.good === null) return null;
      if (item.count) groups.set(item.view, [...(groups.get(item.view) ?? []), item]);
    }
    const least = 0.005 * good(this.data.classes);
    const believable = (items) => items.filter((item) => item.good >= 0.25);
    const real = [...groups.values()].filter((items) => believable(items).length && good(believable(items)) >= least);
    const lost = real.filter((items) => !items.some(keeps)).map(believable);
    return {all: real.length, kept: real.length - lost.length, lost};
  }

  count(test) { return this.data.classes.filter((item) => test(item.id)).length; }

  text(state = this.now) {
    const by = state.by.trim(), why = state.why.trim();
    const lists = {keep: [], drop: []};
    const own = (text, common) => (text.trim() === common ? "" : text.trim());
    for (const item of [...this.data.classes].sort((a, b) => a.id - b.id)) {
      if (!item.count || !this.isNamed(item.id, state)) continue;
      const entry = state.entries[item.id];
      lists[entry.kept ? "keep" : "drop"].push({id: item.id, by: own(entry.by, by), why: own(entry.why, why)});
    }
    return overrideText({round: this.data.round, by, why, madeFor: this.data.madeFor, ...lists});
  }
}
