// Each round of the page: its choice, and everything that shows it.

const counted = (number) => Math.round(number).toLocaleString("en-GB");
const percent = (part, whole) => (whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "n/a");
const NO_GOOD_SHARE = "good particles expected: not known, the ledger has no good_share; run the selection again";

function drawSums(root, choice) {
  const sums = choice.sums(), {data} = choice;
  const write = (name, text) => { root.querySelector(`.bar-of-choice .${name}`).textContent = text; };
  const knowsGood = sums.good !== null;
  write("n-particles", counted(sums.particles));
  write("of-particles", `of ${counted(data.total)} particles (${percent(sums.particles, data.total)})`);
  write("n-classes", sums.classes);
  write("of-classes", `of ${data.classes.length} classes`);
  write("n-good", knowsGood ? counted(sums.good) : "");
  write("of-good", knowsGood ? `good ones expected, ${counted(sums.lost)} lost` : NO_GOOD_SHARE);
  drawViews(root, choice);
  write("n-changed", choice.count((id) => choice.isChanged(id)));
  const parts = {"kept-good": sums.good ?? 0, "kept-rest": sums.particles - (sums.good ?? 0), "lost-good": sums.lost ?? 0};
  for (const [name, count] of Object.entries(parts)) {
    root.querySelector(`.proportion .${name}`).style.width = `${(100 * count) / Math.max(data.total, 1)}%`;
  }
  const act = (name) => root.querySelector(`[data-act="${name}"]`);
  act("undo").disabled = !choice.past.length;
  act("redo").disabled = !choice.future.length;
  act("reset").disabled = !choice.isDirty;
  act("save").classList.toggle("waits", choice.isDirty && !choice.isSaved);
}

function drawViews(root, choice) {
  const views = choice.views(), part = root.querySelector(".views-shown");
  part.hidden = root.querySelector('.sort [value="view"]').hidden = views === null;
  if (views === null) return;
  part.querySelector(".n-views").textContent = views.kept;
  part.querySelector(".of-views").textContent = `of ${views.all} views shown`;
  const sentences = views.lost.map((items) => `View ${items[0].view}: no class is kept, of ${items.map((item) => item.id).join(", ")}.`);
  part.title = sentences.join("\n") || "Each view of believable particles has a kept class.";
  part.classList.toggle("lacks", views.lost.length > 0);
}

function drawHistogram(root, classes) {
  const bins = Array.from({length: 50}, () => [0, 0]);
  for (const {score, count, good} of classes) {
    const bin = bins[Math.min(Math.floor((score ?? 0) * 50), 49)] ?? bins[0];
    bin[0] += count;
    bin[1] += count * (good ?? 0);
  }
  const top = Math.max(...bins.map((bin) => bin[0]), 1);
  root.querySelector(".histogram").append(...bins.map(([all, good]) => {
    const column = document.createElement("i"), part = document.createElement("b");
    column.style.height = `${100 * Math.sqrt(all / top)}%`;
    part.style.height = all ? `${(100 * good) / all}%` : "0";
    column.append(part);
    return column;
  }));
}

function tryThresholds(root, choice, gallery) {
  const slider = root.querySelector(".threshold");
  const first = choice.data.threshold ?? 0.5;
  const show = () => {
    const level = Number(slider.value);
    for (const part of root.querySelectorAll(".level")) part.textContent = level.toFixed(2);
    const keeps = (item) => choice.wouldKeep(item, level);
    const sums = choice.sums(keeps);
    const differ = choice.data.classes.filter((item) => item.count && keeps(item) !== choice.isKept(item.id)).length;
    const views = choice.views(keeps);
    const seen = views === null ? "" : ` ${views.kept} of ${views.all} views shown;`;
    const good = sums.good === null ? NO_GOOD_SHARE : `${counted(sums.good)} good ones expected, ${counted(sums.lost)} lost`;
    root.querySelector(".outcome").textContent =
      `${counted(sums.particles)} of ${counted(choice.data.total)} particles (${percent(sums.particles, choice.data.total)}) ` +
      `from ${sums.classes} of ${choice.data.classes.length} classes; ${good};${seen} ` +
      `${differ} ${differ === 1 ? "class differs" : "classes differ"} from your choice.`;
  };
  const end = () => {
    gallery.trial = null;
    slider.value = first;
    show();
    gallery.draw();
  };
  slider.addEventListener("input", () => {
    gallery.trial = Number(slider.value);
    show();
    gallery.draw();
  });
  choice.listeners.push(show);
  slider.value = first;
  show();
  drawHistogram(root, choice.data.classes);
  return {end, level: () => Number(slider.value)};
}

function actsOf(choice, gallery, trial, saving) {
  return {
    undo: () => choice.undo(),
    redo: () => choice.redo(),
    reset: () => choice.reset(),
    forget: () => choice.reset(),
    save: () => saving.open(),
    adopt: () => { choice.adopt(trial.level()); trial.end(); },
    "end-trial": () => { trial.end(); gallery.root.querySelector(".trial").open = false; },
  };
}

function onUndoKeys(root, choice) {
  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input[type=text], textarea")) return;
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    if (key === "y" || event.shiftKey) choice.redo();
    else choice.undo();
  });
}

function linkMarks(round, gallery) {
  const light = (number, on) => {
    for (const part of round.querySelectorAll(`[data-class="${number}"]`)) part.classList.toggle("lit", on);
  };
  for (const part of round.querySelectorAll(".tile, .chart [data-class]")) {
    part.addEventListener("pointerenter", () => light(part.dataset.class, true));
    part.addEventListener("pointerleave", () => light(part.dataset.class, false));
  }
  for (const mark of round.querySelectorAll(".chart [data-class]")) {
    mark.addEventListener("click", () => gallery.goTo(Number(mark.dataset.class)));
  }
}

function startRound(round) {
  const root = round.querySelector(".selection");
  const choice = new Choice(JSON.parse(root.querySelector('script[type="application/json"]').textContent));
  const draft = new Draft(choice);
  let details = null;
  const gallery = new Gallery(root, choice, (id) => details.open(id));
  details = new Details(root, round, choice, gallery);
  const saving = new Saving(root, choice, draft);
  const trial = tryThresholds(root, choice, gallery);
  const restored = root.querySelector(".restored");
  choice.listeners.push(() => {
    gallery.draw();
    details.draw();
    drawSums(root, choice);
    draft.keep();
    if (!choice.isDirty) restored.hidden = true;
  });
  const acts = actsOf(choice, gallery, trial, saving);
  for (const button of root.querySelectorAll("[data-act]")) button.addEventListener("click", acts[button.dataset.act]);
  for (const button of round.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => gallery.goTo(Number(button.dataset.go)));
  }
  onUndoKeys(root, choice);
  linkMarks(round, gallery);
  restored.hidden = !draft.restore();
  gallery.sort("decision");
  choice.tell();
}

for (const round of document.querySelectorAll(".round")) startRound(round);
