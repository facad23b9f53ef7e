// Unsaved changes survive a reload: a draft in the browser's storage, where there is one.

const storage = (() => {
  try {
    const found = window.localStorage;
    found.getItem("winnow");
    return found;
  } catch {
    return null; // switched off, or not for pages opened from disk
  }
})();

function remember(key, value) {
  try {
    if (value === null) storage?.removeItem(key);
    else storage?.setItem(key, value);
  } catch {
    // full: the page works on, only a reload would forget
  }
}

function recall(key) {
  try {
    return storage?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

const NAME_KEY = "winnow:name";

class Draft {
  constructor(choice) {
    const {project, round, madeFor} = choice.data;
    this.choice = choice;
    this.key = `winnow:draft:${JSON.stringify([project, round, madeFor])}`;
    this.base = choice.text(choice.loaded);
  }

  // Returns whether changes of an earlier visit were put back.
  restore() {
    const draft = this.read();
    if (!draft) return false;
    const movedOn = draft.base !== this.base && draft.saved; // saved, and the project has taken it up or another
    if (movedOn || this.choice.text(draft.state) === this.base) {
      remember(this.key, null);
      return false;
    }
    this.choice.savedText = draft.saved;
    this.choice.restore(draft.state);
    return draft.saved !== this.choice.text();
  }

  read() {
    try {
      const draft = JSON.parse(recall(this.key));
      const isWhole = this.choice.data.classes.every(({id}) => typeof draft.state.entries[id].kept === "boolean");
      return isWhole && typeof draft.state.by === "string" && typeof draft.state.why === "string" ? draft : null;
    } catch {
      return null; // none, or of another version
    }
  }

  keep() {
    const draft = {base: this.base, state: this.choice.now, saved: this.choice.savedText};
    remember(this.key, this.choice.isDirty ? JSON.stringify(draft) : null);
  }

  saved() {
    this.choice.savedText = this.choice.text();
    this.keep();
  }
}
