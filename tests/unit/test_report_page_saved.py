"""The report in a real browser: what is saved is what was chosen, whatever is typed, and a reload forgets nothing."""

import dataclasses
import json

import numpy as np
import pytest
import yaml

from chromium import wait_for
from page_steps import MADE_FOR, a_round, is_kept, kept_classes, save, tile
from report_records import make_pending, make_project
from winnow2d.report.page import render_page
from winnow2d.report.tables import Entry, Override

pytestmark = pytest.mark.browser


def test_what_is_saved_is_what_was_clicked(shown):
    page = shown(a_round())
    page.click(tile(2))
    page.click(tile(4))
    assert save(page) == {"round": 1, "by": "Jane Doe", "made_for": MADE_FOR, "keep": [4], "drop": [2]}
    assert "Put round_01.yaml into the folder overrides/" in page.js("document.querySelector('.next').textContent")


@pytest.mark.parametrize("seed", range(3))
def test_any_clicks_come_back_as_the_same_choice(shown, seed):
    """The file, applied to the automatic choice, gives the classes the page shows; also when opened again."""
    rng = np.random.default_rng(seed)
    page = shown(a_round())
    for number in rng.integers(1, 7, 9):
        page.click(tile(number))
    if not any(is_kept(page, k) for k in range(1, 7)):
        page.click(tile(1))
    wanted = {k for k in range(1, 7) if is_kept(page, k)}
    found = save(page)
    assert ({1, 2, 3} | set(found["keep"])) - set(found["drop"]) == wanted
    assert not set(found["keep"]) & {1, 2, 3}
    assert set(found["drop"]) <= {1, 2, 3}


def test_a_name_is_asked_for_and_an_empty_choice_refused(shown):
    page = shown(make_pending(1, 60))
    page.click('[data-act="save"]')
    page.click('[data-save="download"]')
    assert page.text(".problem") == "Say who decides: the ledger names it."
    assert page.js("document.activeElement.className") == "by"
    page.write(".saving .by", "Jane")
    page.press("Escape")
    for number in (1, 2, 3):
        page.click(tile(number))
    page.click('[data-act="save"]')
    page.click('[data-save="download"]')
    assert page.text(".problem") == "No particle would be kept: keep at least one class."
    assert not list(page.downloads.glob("*"))


def test_reload_keeps_what_was_not_saved(shown):
    page = shown(a_round())
    page.click(tile(1))
    page.click(tile(6, ".more"))
    page.write(".about .why", "half\nbroken")
    page.press("Escape")
    page.go()
    assert not is_kept(page, 1)
    assert page.text(".restored span") == "Your unsaved changes of an earlier visit are shown."
    page.click('[data-act="forget"]')
    assert is_kept(page, 1)
    page.go()
    assert is_kept(page, 1)
    assert page.texts(".restored") == []


def test_a_draft_ends_when_it_is_taken_up(shown, tmp_path):
    page = shown(a_round())
    page.click(tile(4))
    save(page)
    page.go()
    assert kept_classes(page) == [1, 2, 3, 4]  # saved, but the project has not run yet
    assert page.texts(".restored") == []
    assert page.text(tile(4, ".flag")) == "saved"
    page.click(tile(5))
    assert page.text(tile(4, ".flag")) == "unsaved"
    page.click(tile(5))
    page.click(tile(1))
    save(page)
    ledger = a_round().class_ledger.assign(kept=[True, True, True, True, False, False])
    ledger["decided_by"] = ["automatic"] * 3 + ["Jane Doe"] + ["automatic"] * 2
    override = Override("Jane Doe", "", {4: Entry(True, "Jane Doe")})  # another file than the last one saved
    html = render_page(make_project(60), [a_round(class_ledger=ledger, override=override)])
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    page.go()
    assert kept_classes(page) == [1, 2, 3, 4]
    assert page.texts(".restored") == []


@pytest.mark.parametrize("other", ["averages", "round", "project"])
def test_a_draft_belongs_to_one_project_round_and_set_of_averages(shown, tmp_path, other):
    page = shown(a_round())
    page.click(tile(1))
    project, record = make_project(60), a_round()
    if other == "averages":
        record = dataclasses.replace(record, made_for="cd" * 32)
    elif other == "round":
        record = dataclasses.replace(record, number=2)
    else:
        project = dataclasses.replace(project, name="another")
    html = render_page(project, [record]).replace('id="round-2"', 'id="round-1"')
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    page.go()
    assert kept_classes(page) == [1, 2, 3]
    (tmp_path / "index.html").write_text(render_page(make_project(60), [a_round()]), encoding="utf-8")
    page.go()
    assert kept_classes(page) == [2, 3]


@pytest.mark.parametrize("storage", ["throws", "full", "spoilt"])
def test_page_works_without_storage(browser, tmp_path, storage):
    path = tmp_path / "index.html"
    broken = {
        "throws": "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no'); }});",
        "full": "Storage.prototype.setItem = () => { throw new DOMException('QuotaExceededError'); };",
        "spoilt": 'Storage.prototype.getItem = () => \'{"state": {"entries": {}}}\';',
    }[storage]
    html = render_page(make_project(60), [a_round()]).replace("<style>", f"<script>{broken}</script><style>", 1)
    path.write_text(html, encoding="utf-8")
    page = browser.open(path, tmp_path / "downloads")
    page.click(tile(1))
    assert save(page)["drop"] == [1]
    assert page.complaints() == []
    page.close()


ODD = [
    "plain",
    'quotes " and \' and \\ and \\n',
    "colon: - [a, {b}] # no comment, &anchor *alias !tag | > % @ `",
    "Ørsted 李小龙 🧊 µm Å é",
    "\u2028 \u2029 \u0085 \ufeff \u00a0 \x7f \x9f \ud800",
    "yes", "null", "1e3", "2026-01-01", "~", "- ", "</script><script>alert(1)</script>",
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_whatever_is_typed_is_read_back(shown, odd):
    page = shown(a_round())
    page.click(tile(2, ".more"))
    field = json.dumps(odd)
    page.js(f"f = document.querySelector('.about .why'); f.value = {field}; f.dispatchEvent(new Event('change'))")
    page.press("Escape")
    page.click('[data-act="save"]')
    page.js(
        f"f = document.querySelector('.saving .why'); f.value = {field} + '\\n2'; f.dispatchEvent(new Event('change'))"
    )
    page.js(f"f = document.querySelector('.saving .by'); f.value = {field}; f.dispatchEvent(new Event('change'))")
    page.click('[data-save="download"]')
    found = yaml.safe_load(page.downloaded("round_01.yaml").decode("utf-8"))
    clean = page.js(f"{field}.toWellFormed().trim()")
    whole = page.js(f"({field} + '\\n2').toWellFormed().trim()")
    assert found["by"] == clean
    assert found["why"] == whole
    assert found["keep"] == [{"class": 2, "why": clean}]


def test_yaml_reads_any_string_the_page_quotes(shown, browser):
    page = shown(a_round())
    rng = np.random.default_rng(7)
    pools = [range(0, 0x30), range(0x7F, 0x100), range(0x2000, 0x2070), range(0xD7F0, 0x10000), range(0x1F300, 0x1F400)]
    texts = ["".join(chr(rng.choice(pools[k])) for k in rng.integers(0, 5, 12)) for _ in range(300)]
    texts = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
    asked = json.dumps(texts)
    answers = page.js(f"{asked}.map((text) => quoted(text))")
    wanted = page.js(f"{asked}.map((text) => text.toWellFormed())")
    assert [yaml.safe_load(answer) for answer in answers] == wanted


def test_odd_names_are_text_not_markup(browser, tmp_path):
    record = a_round(class_ledger=a_round().class_ledger.assign(rule='</script><b id="odd">"&'))
    project = dataclasses.replace(make_project(60), name="</script><script>window.odd = 1</script>")
    path = tmp_path / "index.html"
    path.write_text(render_page(project, [record]), encoding="utf-8")
    page = browser.open(path, tmp_path / "downloads")
    assert page.js("[window.odd === undefined, document.querySelector('#odd') === null]") == [True, True]
    assert page.text("h1") == project.name
    page.click(tile(1, ".more"))
    assert '</script><b id="odd">"&' in page.text(".about .reason")
    assert page.complaints() == []
    page.close()


def test_the_text_is_copied_or_written_into_the_project(shown, browser):
    page = shown(a_round())
    browser.call("Browser.grantPermissions", browserContextId=page.context, permissions=["clipboardReadWrite"])
    page.click(tile(4))
    page.click('[data-act="save"]')
    page.write(".saving .by", "Jane")
    page.click('[data-save="copy"]')
    wait_for(lambda: page.text(".done").startswith("Copied"), "the text to be copied")
    assert yaml.safe_load(page.js("navigator.clipboard.readText()"))["keep"] == [4]
    # a person's choice in the dialog of the operating system cannot be made here: this folder keeps what it is given
    page.js("""window.files = {}; window.folder = (name, parts) => ({name, parts,
      async getDirectoryHandle(part, {create} = {}) {
        if (!(part in parts) && !create) throw new DOMException("gone", "NotFoundError");
        return parts[part] ??= folder(part, {});
      },
      async getFileHandle(file) { return {async createWritable() { return {
        async write(text) { files[`${name}/${file}`] = text; }, async close() {} }; }}; }});
      window.showDirectoryPicker = async () => folder("elsewhere", {});""")
    page.click('[data-save="folder"]')
    wait_for(lambda: page.text(".problem"), "a word about the wrong folder")
    assert page.text(".problem").startswith("Not saved: elsewhere has no folder report: choose the project's folder")
    page.js("window.showDirectoryPicker = async () => folder('project', {report: 1})")
    page.click('[data-save="folder"]')
    wait_for(lambda: page.text(".done"), "the file to be written")
    assert page.text(".done") == "Written: overrides/round_01.yaml. Now start Winnow again."
    assert yaml.safe_load(page.js("files['overrides/round_01.yaml']"))["keep"] == [4]
