"""Instruction rows are grounded in the passages they show, split by page, repeatable, and hold nothing judged or private."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from model.prompting.system_prompts import load_prompt_texts
from model.turn.tool_grammar import read_call
from onboarding.__main__ import run
from onboarding.instructions import make
from onboarding.instructions.answers import row_told, told, written_answer
from onboarding.instructions.make import PROMPTS, RememberingEmbedder, make_rows
from onboarding.instructions.repeats import judged_questions, repeats
from onboarding.instructions.rows import SCHEMA
from onboarding.instructions.write import MadeSplits, shared_with_train, write
from rag.errors import SecretFound
from rag.publishing.splits import split_of
from rag.search.segments import Scored, segments
from tools.registry import Registry
from tools.simulation.hosts import load_hosts

CORPUS = Path("rag/corpus")
PAGES = ("kcli", "freeipa", "vyos", "vault", "ports-and-services")  # three to train on, and one for each other split
LINES = 40  # of questions without an answer
JUDGED = "how do I create a vm with kcli"  # listed by a page


pytestmark = pytest.mark.timeout(900)  # making rows searches a thousand times


@pytest.fixture(scope="module")
def encoder() -> RememberingEmbedder:
    return RememberingEmbedder()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("instructions")
    (root / "pages").mkdir()
    (root / "judged").mkdir()
    for name in PAGES:
        shutil.copy(CORPUS / f"{name}.md", root / "pages")
    for path in make.UNANSWERED.glob("*.txt"):
        (root / path.name).write_text("\n".join(path.read_text("utf-8").splitlines()[:LINES]))
    rows = [{"question": JUDGED}, {"text": "what is kcli for"}, {"turns": ["is sshd running", "and vnc?"]}]
    (root / "judged" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


@pytest.fixture(scope="module")
def few_questions(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "UNANSWERED", folder)
        patch.setattr(make, "OFF_TOPIC_ROWS", 10)
        patch.setattr(make, "OFF_TOPIC_ELSEWHERE", 2)
        yield


@pytest.fixture(scope="module")
def made(folder: Path, encoder: RememberingEmbedder, few_questions: None) -> MadeSplits:
    return make_rows(folder / "pages", folder / "judged", folder / "index", 0, encoder)


def test_no_page_lies_in_two_splits_not_even_as_a_distractor(made: MadeSplits) -> None:
    held = {split: {page for row in rows for page in row.pages} for split, rows in made.rows.items()}
    assert all(held.values())
    assert not held["train"] & held["validation"]
    assert not held["train"] & held["test"]
    assert not held["validation"] & held["test"]
    for split, rows in made.rows.items():
        assert {row.kind for row in rows} == {"answer", "abstain", "tool_call", "tool_reading"}, split


def test_rows_are_the_same_for_the_same_seed(made: MadeSplits, folder: Path, encoder: RememberingEmbedder) -> None:
    again = make_rows(folder / "pages", folder / "judged", folder / "index", 0, encoder)
    assert [row.as_dict() for row in again.rows["train"]] == [row.as_dict() for row in made.rows["train"]]
    assert split_of(made.pages, 1) != made.pages


def test_every_piece_of_an_answer_stands_in_a_passage_that_it_cites(made: MadeSplits) -> None:
    answers = [row for rows in made.rows.values() for row in rows if row.kind == "answer"]
    assert len(answers) > 250
    for row in answers:
        cited = row.passages[row.cited[0] - 1]
        pieces = {told(one.text).rstrip(":.") for one in segments(cited.text)}
        rows = {row_told(one.head, one.text) for one in segments(cited.text) if one.kind == "row"}
        cells = re.sub(r"\W+", " ", " ".join(told(one.text + one.head) for one in segments(cited.text)))
        if row.source == "row question":
            assert all(word in cells for word in re.findall(r"[\w.]{5,}", row.answer) if word in cells.split()), row
            continue
        left = row.answer
        for piece in sorted(pieces | rows, key=len, reverse=True):
            left = left.replace(piece, "")
        assert not re.search(r"\w", left), (row.question, left)


def test_messages_are_the_apps_own_prompt_with_the_answer_behind(made: MadeSplits) -> None:
    texts = load_prompt_texts(PROMPTS)
    for row in made.rows["test"]:
        roles = [role for role, _ in row.messages]
        assert roles == ["system", "user", "assistant"]
        assert row.messages[-1][1] == row.answer
        assert row.messages[1][1].endswith(row.question)
        if row.kind in ("answer", "abstain"):
            assert row.messages[0][1] == texts.brief
            assert row.messages[1][1].startswith("<documents>\n# ")
            assert 1 <= len(row.passages) <= 3
            assert all(passage.text.strip() in row.messages[1][1] for passage in row.passages)
        if row.kind == "tool_reading":
            assert row.messages[1][1].startswith("<tool_response>\n")


def test_the_passage_that_answers_stands_at_every_place(made: MadeSplits) -> None:
    places = Counter(row.cited[0] for rows in made.rows.values() for row in rows if row.kind == "answer")
    assert min(places[1], places[2], places[3]) > 10


def test_an_abstention_names_only_what_no_passage_given_speaks_of(made: MadeSplits) -> None:
    named = 0
    for row in [row for rows in made.rows.values() for row in rows if row.kind == "abstain" and row.language == "en"]:
        missing = re.search(
            r"(?:about|of) \u201c([^\u201d]+)\u201d(?: The|\.|,)", row.answer.split(" The nearest")[0] + " The"
        )
        if missing and row.source != "question without an answer":
            named += 1
            word = re.compile(rf"(?<!\w){re.escape(missing[1])}(?!\w)", re.IGNORECASE)
            assert not any(word.search(passage.text) for passage in row.passages), row.question
    assert named > 20


def test_calls_can_be_read_and_other_languages_are_there(made: MadeSplits) -> None:
    schemas = Registry.default().schemas()
    calls = [row for rows in made.rows.values() for row in rows if row.kind == "tool_call"]
    names = {read_call(row.answer, schemas)[0] for row in calls}
    assert names == {*Registry.default().list_tools(), None}
    assert len({row.language for row in calls}) == 12
    assert any(read_call(row.answer, schemas)[1].get("services") for row in calls)


def test_no_figure_of_a_reading_is_missing_from_its_result(made: MadeSplits) -> None:
    readings = [row for rows in made.rows.values() for row in rows if row.kind == "tool_reading"]
    pairs = [row for row in readings if "+" in row.source]
    assert any("Also found:" in row.answer for row in pairs)  # hosts with two faults
    assert {one for row in pairs for one in row.source.split()[-1].split("+")} <= load_hosts().keys()
    for row in readings:
        result, said = row.messages[1][1], row.answer.split("On a machine of your own")[0]
        figures = re.findall(r"(?<![\w.])\d{3,}(?![\w.])", said)
        assert all(figure in result or str(int(figure) - 1) in result for figure in figures), row.answer


def test_no_judged_question_is_a_row(made: MadeSplits, folder: Path, encoder: RememberingEmbedder) -> None:
    judged = judged_questions(folder / "judged")
    assert set(judged) == {JUDGED, "what is kcli for", "is sshd running", "and vnc?"}
    asked = [row.question for rows in made.rows.values() for row in rows]
    assert not any(repeats(asked, judged, encoder.encode, among=False))
    assert made.dropped["like a judged one"] >= 2


def test_a_question_repeats_another_by_letters_or_sense_but_not_with_another_name(encoder: RememberingEmbedder) -> None:
    asked = ["Which port does Airflow use?", "airflow use which port does", "What is the default of `A_ONE`?",
             "What is the default of `A_TWO`?", "does rhel 9 work", "does rhel 8 work"]  # fmt: skip
    assert repeats(asked, [], encoder.encode) == [False, True, False, False, False, False]


def test_splits_share_next_to_nothing(made: MadeSplits, encoder: RememberingEmbedder) -> None:
    for split in ("validation", "test"):
        pages, share = shared_with_train(made, split, encoder.encode)
        assert pages == 0
        assert share <= 0.01


def test_parquet_reads_back_as_the_data_sheet_says(
    made: MadeSplits, tmp_path: Path, encoder: RememberingEmbedder
) -> None:
    made = MadeSplits({split: rows[::3] for split, rows in made.rows.items()}, made.pages, made.dropped)
    write(made, tmp_path / "out", "someone/rows", encoder.encode)
    sheet = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(sheet.split("---\n")[1])
    assert "$" not in sheet.replace("$(", "")
    for entry in front["configs"][0]["data_files"]:
        table = pq.read_table(tmp_path / "out" / entry["path"])
        assert table.schema.equals(SCHEMA)
        assert table.num_rows == len(made.rows[entry["split"]])
        for row in table.slice(0, 20).to_pylist():
            assert row["messages"][-1] == {"role": "assistant", "content": row["answer"]}
            assert all(row["passages"][one["passage"] - 1]["page"] == one["page"] for one in row["citations"])
    assert [feature["name"] for feature in front["dataset_info"]["features"]] == SCHEMA.names


def test_a_planted_secret_stops_everything(made: MadeSplits, tmp_path: Path, encoder: RememberingEmbedder) -> None:
    row = made.rows["test"][0]
    planted = type(row)(row.kind, row.language, (("user", "Ask jane.doe@corp.io."),), "q", "a", "planted")
    few = {split: rows[:3] for split, rows in made.rows.items()}
    with pytest.raises(SecretFound, match="planted"):
        write(MadeSplits({**few, "test": [planted]}, {}, {}), tmp_path / "out", "a/b", encoder.encode)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_or_missing_gives_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for arguments, says in (
        (["--out", str(tmp_path / "file")], "is a file; give --out a folder"),
        (["--out", str(tmp_path / "x"), "--judged", str(tmp_path / "no")], "is no folder of judged questions"),
    ):
        assert run(["instructions", *arguments]) != 0
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1


def scored(text: str, scores: list[float]) -> list[Scored]:
    return [Scored(segment, score) for segment, score in zip(segments(text), scores, strict=True)]


def test_an_answer_takes_what_its_sentences_lean_on() -> None:
    others = " ".join(f"Sentence {number} says {'something else ' * 6}here." for number in range(6))
    text = f"VMs get a name. It comes from FreeIPA. {others} Ask for it:\n\n```bash\nhost web01\n```"
    answer = written_answer("which name", scored(text, [0.1, 0.9, *[0.3] * 6, 0.0, 0.0]))
    assert answer.startswith("VMs get a name. It comes from FreeIPA. Sentence 0")
    assert "host web01" not in answer  # nobody asked for a command
    command = written_answer("look up a name", scored(text, [0.1, 0.9, *[0.3] * 6, 0.0, 0.0]))
    assert command.endswith("Ask for it:\n\n```bash\nhost web01\n```")


def test_an_answer_drops_links_to_pages_and_sentences_that_only_point() -> None:
    text = "Use kcli (see [kcli](kcli.md)). Details: [VMs](vms.md). It needs sudo, see [sudo](kcli.md)."
    assert written_answer("how", scored(text, [0.9, 0.9, 0.9])) == "Use kcli. It needs sudo."


def test_a_question_about_a_section_gets_its_table_whole_or_no_answer() -> None:
    rows = "\n".join(f"| `{name}` | {name * 30} |" for name in "abcdefghijklmnop")
    text = f"Variables:\n\n| Variable | Meaning |\n| --- | --- |\n{rows}"
    every = [0.1] + [0.5] * 16
    assert written_answer("Tell me about variables.", scored(text, every), whole=True) == ""
    short = "Two exist:\n\n| Variable | Default |\n| --- | --- |\n| `A` | 1 |\n| `B` | 2 |"
    answer = written_answer("Tell me about it.", scored(short, [0.5, 0.9, 0.1]), whole=True)
    assert answer == "Two exist:\n\n- `A` - default: 1\n- `B` - default: 2"
