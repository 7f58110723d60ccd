"""What README and site tell to type: every block is run on the bundled model, or parsed where its mark says why it is not."""

import argparse
import json
import re
import shlex
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from servers import REPOSITORY

pytest.importorskip("diffusers", reason="diffusers is not installed")

import edit_assumption as ea
from edit_assumption import cli
from edit_assumption.commands.measurements import MEASUREMENTS, measurement
from edit_assumption.pipelines.cache_folder import VARIABLE

MARK = re.compile(r"# (installs|takes long|needs weights: .+)$")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.M | re.S)
OWN_FILES = {"concepts.txt": "zopin -> tulip\n", "edits.csv": "source,destination,unrelated1\na rose,a blue rose,a cat\n"}
LANGUAGES = {"bash", "python", "recipe", "concepts", "json", "text"}
INSTALLS = ("cd ", "git clone ", "pip install ")
NAMED = {"concepts": ["concepts", "--lines", "a -> b"], "demo": ["demo"]}
NAMED["iceb"] = ["iceb", "--csv", "a", "--model", "b", "--classifier", "c"]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
PAGES += sorted(
    str(path.relative_to(REPOSITORY)) for folder in ("docs", "web/docs") for path in REPOSITORY.glob(f"{folder}/**/*.md")
)


class Parsed(Exception):
    """Raised in the place of what a command would do."""


@cache
def page(path):
    return (REPOSITORY / path).read_text(encoding="utf-8")


def blocks(path, *languages):
    """Mark (or None) and text of each block in one of the languages."""
    for indent, language, text in FENCE.findall(page(path)):
        if language in languages:
            text = re.sub(rf"^{indent}", "", text, flags=re.M)
            first = text.partition("\n")[0]
            yield (first[2:] if MARK.match(first) else None), text


def commands(text):
    """The lines of a shell block, each as its words."""
    lines = (re.sub(r"\s+# .*", "", line) for line in text.replace("\\\n", " ").splitlines() if not line.startswith("#"))
    return [part.strip() for line in lines for part in line.split(" && ") if part.strip()]


def arguments(command):
    """What follows ``edit-assumption`` in a command; None where it is no command of ours."""
    inner = re.fullmatch(r'eval "\$\((.*)\)"', command)
    words = shlex.split(inner[1] if inner else command)
    words = words[: words.index("|")] if "|" in words else words
    if words[:2] == ["accelerate", "launch"]:
        return words[words.index("edit_assumption.cli") + 1 :]
    return words[1:] if words[0] == "edit-assumption" else None


def parse(words, monkeypatch):
    """Parse a command as the program does, and stop there."""
    known = argparse.ArgumentParser.parse_args

    def parsed_only(parser, args=None, namespace=None):
        known(parser, args, namespace)
        raise Parsed

    options = cli._parser().parse_args(words)
    if options.command in MEASUREMENTS:
        with monkeypatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, "parse_args", parsed_only)
            patch.setenv("MALLOC_MMAP_MAX_", "0")  # the training would start Python again with it
            with pytest.raises(Parsed):
                measurement(options)(options.arguments)


def with_blocks(*languages):
    return [path for path in PAGES if any(True for _ in blocks(path, *languages))]


@pytest.fixture(autouse=True)
def folder(tmp_path, tmp_path_factory, monkeypatch):
    """An empty folder with the files that pages speak of; nothing is read from or left in the user's cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, text in OWN_FILES.items():
        Path(name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("path", PAGES)
def test_every_block_says_its_language(path):
    found = FENCE.findall(page(path))
    assert {language for _, language, _ in found} <= LANGUAGES
    assert page(path).count("```") == 2 * len(found)
    assert not re.search(r"\n\n {4}(?! *```|[-*\d])\S", FENCE.sub("", page(path)))  # no block by indentation


@pytest.mark.parametrize("path", with_blocks("bash"))
def test_every_command_is_one_of_ours_or_marked(path, monkeypatch):
    for mark, text in blocks(path, "bash"):
        for command in commands(text):
            words = arguments(command)
            if words is not None:
                parse(words, monkeypatch)
            elif mark == "installs":
                assert command.startswith((*INSTALLS, "pytest", "mkdocs "))
            else:
                assert mark == "takes long" and (REPOSITORY / command.split()[0]).is_file()


@pytest.mark.parametrize("path", PAGES)
def test_commands_in_sentences_parse(path, monkeypatch):
    """Those that are only named, such as `edit-assumption demo`, have to be there."""
    for command in re.findall(r"`(edit-assumption [^`]+)`", FENCE.sub("", page(path))):
        words = arguments(command)
        if words != ["COMMAND", "--help"]:
            parse(words if len(words) > 1 or words == ["evaluate"] else [*NAMED[words[0]]], monkeypatch)


@pytest.mark.parametrize("path", [path for path in with_blocks("bash") if "/zh/" not in path])
def test_commands_without_a_mark_run_on_the_bundled_model(path, capsys):
    for mark, text in blocks(path, "bash"):
        for command in commands(text) if mark is None else ():
            assert cli.main(arguments(command)) == 0, capsys.readouterr().err
            for name in re.findall(r"--(?:out|lora) (\S+)", command):
                assert Path(name).stat().st_size > 1000


@pytest.fixture(scope="module")
def names():
    """What the blocks of pages that speak of a host's own things are given."""
    from edit_assumption.editing.assumptions.moments import read_captions
    from edit_assumption.pipelines.pipeline_encoder import PipelineEncoder
    from edit_assumption.pocket.model import pipeline

    pipe = pipeline()
    encode = PipelineEncoder(pipe)
    w = next(weight for name, weight in pipe.unet.state_dict().items() if name.endswith("attn2.to_k.weight"))
    context = encode(["a rose"])[0].embeddings
    return {"pipe": pipe, "encode": encode, "w": w, "context": context, "moment": read_captions(encode), "ea": ea}


@pytest.mark.parametrize("path", [path for path in PAGES if "/zh/" in path])
def test_a_translated_page_has_the_same_blocks(path):
    own, english = (
        [re.sub(r"\s+# .*", "", text) for _, text in blocks(each, *LANGUAGES)]
        for each in (path, path.replace("/zh/", "/quickstart/"))
    )
    assert own == english


@pytest.mark.parametrize("path", [path for path in with_blocks("python") if "/zh/" not in path])
def test_python_without_a_mark_runs_on_the_bundled_model(path, names):
    known = dict(names)
    try:
        for mark, text in blocks(path, "python"):
            code = compile(text, path, "exec")
            if mark is None:
                exec(code, known)
    finally:
        if isinstance(known.get("edit"), ea.PipelineEdit):
            known["edit"].remove()


@pytest.mark.parametrize("path", with_blocks("recipe", "concepts", "json"))
def test_recipes_and_requests_are_understood(path):
    for _, text in blocks(path, "recipe"):
        recipe = ea.parse_recipe(text)
        assert recipe.pairs or recipe.chances
    for _, text in blocks(path, "concepts"):
        assert all(ea.parse_concept_recipe(f"{line}\na -> b") for line in text.splitlines())
    for _, text in blocks(path, "json"):
        assert json.loads(text)


def anchors(path):
    """The places of a page that links lead to, as GitHub and the site name them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page(path)), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page(path))):
        if "://" in link:
            continue
        target, _, anchor = unquote(link).partition("#")
        file = (REPOSITORY / path).parent / target if target else REPOSITORY / path
        assert file.resolve().is_file(), link
        if anchor:
            assert anchor in anchors(str(file.resolve().relative_to(REPOSITORY))), link


def test_every_image_of_the_recipe_book_has_its_command():
    drawn = {path.name for path in (REPOSITORY / "docs/pictures").iterdir()}
    text = page("docs/recipe-book.md") + page("docs/how-it-works.md")
    shown = set(re.findall(r"\]\(pictures/([\w.-]+)\)", text))
    assert drawn == shown == set(re.findall(r"--out ([\w.-]+\.webp)", text))


def test_the_readme_is_short():
    assert len(page("README.md").encode()) < 8000
