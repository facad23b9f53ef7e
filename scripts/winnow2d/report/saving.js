// Out of the page: the file as a download, as text to paste, or written where the project wants it.

let projectFolder = null; // chosen once, used for every round

async function folderForOverrides() {
  const chosen = projectFolder ?? (await window.showDirectoryPicker({id: "winnow", mode: "readwrite"}));
  if (chosen.name !== "overrides") {
    try {
      await chosen.getDirectoryHandle("report");
    } catch {
      throw new Error(`${chosen.name} has no folder report: choose the project's folder, or its folder overrides`);
    }
  }
  projectFolder = chosen;
  return chosen.name === "overrides" ? chosen : chosen.getDirectoryHandle("overrides", {create: true});
}

class Saving {
  constructor(root, choice, draft) {
    Object.assign(this, {root, choice, draft, dialog: root.querySelector("dialog.saving")});
    this.name = `round_${String(choice.data.round).padStart(2, "0")}.yaml`;
    this.by = this.dialog.querySelector(".by");
    this.why = this.dialog.querySelector(".why");
    this.by.addEventListener("input", () => this.preview());
    this.why.addEventListener("input", () => this.preview());
    this.by.addEventListener("change", () => this.take());
    this.why.addEventListener("change", () => this.take());
    const ways = {download: () => this.download(), copy: () => this.copy(), folder: () => this.write()};
    for (const button of this.dialog.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => this.save(ways[button.dataset.save]));
    }
    this.dialog.querySelector('[data-save="folder"]').hidden = !("showDirectoryPicker" in window);
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  open() {
    this.by.value = this.choice.now.by || recall(NAME_KEY) || "";
    this.why.value = this.choice.now.why;
    this.tell(".problem", "");
    this.tell(".done", "");
    const {isManual} = this.choice.data;
    const named = this.choice.count((id) => this.choice.isNamed(id) && this.choice.about.get(id).count > 0);
    const kept = this.choice.sums().classes;
    this.tell(".told", isManual
      ? `${kept} of ${this.choice.data.classes.length} classes are kept; the others are dropped.`
      : named ? `The automatic choice stands, except for ${named} ${named === 1 ? "class" : "classes"} decided by hand.`
      : "No class is decided by hand: the automatic choice stands for all, and no file is needed for it.");
    this.preview();
    this.dialog.showModal();
  }

  tell(selector, text) { this.dialog.querySelector(selector).textContent = text; }

  typed() { return {...this.choice.now, by: this.by.value.trim(), why: this.why.value.trim()}; }

  preview() { this.tell(".preview pre", this.choice.text(this.typed())); }

  take() {
    const {by, why} = this.typed();
    this.choice.sayOfAll({by, why});
  }

  async save(way) {
    this.tell(".problem", "");
    this.tell(".done", "");
    this.by.setAttribute("aria-invalid", String(!this.by.value.trim()));
    if (!this.by.value.trim()) {
      this.tell(".problem", "Say who decides: the ledger names it.");
      this.by.focus();
      return;
    }
    if (!this.choice.sums().particles) {
      this.tell(".problem", "No particle would be kept: keep at least one class.");
      return;
    }
    this.take();
    remember(NAME_KEY, this.by.value.trim());
    try {
      this.tell(".done", await way());
      this.draft.saved();
      this.choice.tell();
    } catch (error) {
      if (error.name !== "AbortError") this.tell(".problem", `Not saved: ${error.message}.`);
    }
  }

  download() {
    const link = document.createElement("a");
    const address = URL.createObjectURL(new Blob([this.choice.text()], {type: "text/yaml;charset=utf-8"}));
    Object.assign(link, {href: address, download: this.name});
    this.dialog.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    return `${this.name} is in your downloads. Now put it into overrides/.`;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.choice.text());
    } catch {
      getSelection().selectAllChildren(this.dialog.querySelector(".preview pre"));
      if (!document.execCommand("copy")) throw new Error("this browser does not let the page copy; the text is selected, press Ctrl C");
    }
    return `Copied. Paste it into overrides/${this.name}.`;
  }

  async write() {
    const folder = await folderForOverrides();
    const file = await (await folder.getFileHandle(this.name, {create: true})).createWritable();
    await file.write(this.choice.text());
    await file.close();
    return `Written: overrides/${this.name}. Now start Winnow again.`;
  }
}
