// The text of overrides/round_NN.yaml. Whatever is typed goes into double quotes, where YAML reads JSON's escapes.

const withoutLoneSurrogates = (text) => text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");

// JSON leaves these as they are; YAML takes them as line breaks, as a byte order mark, or not at all.
const NOT_PLAIN = /[\u007F-\u009F\u2028\u2029\uFEFF\uFFFE\uFFFF]/g;

function quoted(text) {
  const escape = (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(withoutLoneSurrogates(String(text))).replace(NOT_PLAIN, escape);
}

function entryText(entry) {
  if (!entry.why && !entry.by) return String(entry.id);
  const why = entry.why ? `, why: ${quoted(entry.why)}` : "";
  const by = entry.by ? `, by: ${quoted(entry.by)}` : "";
  return `{class: ${entry.id}${why}${by}}`;
}

// Numbers in rows of twenty, then each class that has a reason or a name of its own on a line.
function listText(name, entries) {
  const plain = entries.filter((entry) => !entry.why && !entry.by).map(entryText);
  const lines = [];
  for (let first = 0; first < plain.length; first += 20) lines.push(plain.slice(first, first + 20).join(", "));
  lines.push(...entries.filter((entry) => entry.why || entry.by).map(entryText));
  return `${name}: [${lines.join(",\n  ")}]\n`;
}

function overrideText({round, by, why, madeFor, keep, drop}) {
  return [
    `# Winnow: the choice of classes of round ${round}, made on the report page.\n`,
    `round: ${round}\n`,
    `by: ${quoted(by)}\n`,
    why ? `why: ${quoted(why)}\n` : "",
    madeFor ? `made_for: ${quoted(madeFor)}\n` : "",
    listText("keep", keep),
    listText("drop", drop),
  ].join("");
}
