"""The extract and the excerpt are verbatim, to the point, and right on their own."""

import numpy as np

from rag.chunking.chunker import chunk
from rag.index.lexical import terms
from rag.search.extract import (
    MAX_CHARS,
    MAX_GROUP,
    READ_CHARS,
    WHOLE_CHARS,
    Found,
    answer,
    compose,
    excerpt,
)
from rag.search.query import Query
from rag.search.segments import LEADING, Scored, score_segments, segments, sentences
from rag.types import Chunk, Document, Unit

PAGE = """## Ports

Airflow's page is on port 8888. Some old documents say 8080, e.g. the first guide. Change it with `AIRFLOW_PORT`.

| Service | Port |
| --- | --- |
| Airflow | 8888 |
| Airflow MCP server | 8889 |

Restart it from its folder:

```bash
cd airflow
# all of it
make restart
```

- nginx is on 80
- Cockpit is on 9090
"""


def score(question: str, text: str = PAGE) -> tuple[Query, list[Scored]]:
    query = Query(question, question, tuple(terms(question)), ())
    unit = Unit("0", text, "Page", (), "page.md", (1, 9), "", ())
    return query, score_segments([unit], [np.zeros(0)], query, dict.fromkeys(query.terms, 1.0))[0]


def test_segments_are_verbatim_and_headings_left_out() -> None:
    found = segments(PAGE)
    assert all(segment.text in PAGE for segment in found)
    assert [segment.kind for segment in found] == ["sentence"] * 3 + ["row"] * 2 + ["sentence", "code", "item", "item"]


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    assert sentences("It is old, e.g. The first guide. New text.") == ["It is old, e.g. The first guide.", "New text."]


def test_the_excerpt_is_the_sentence_that_answers() -> None:
    query, scored = score("how do i change the port")
    assert excerpt(scored, query) == "Change it with `AIRFLOW_PORT`."


def test_the_excerpt_of_a_command_block_is_its_command_line() -> None:
    query, scored = score("command to make it restart")
    assert excerpt(scored, query) == "make restart"


def test_a_question_for_a_command_gets_the_block_with_what_introduces_it() -> None:
    query, scored = score("restart it from its folder, which command")
    assert (
        compose(scored, query) == "Restart it from its folder:\n\n```bash\ncd airflow\n# all of it\nmake restart\n```"
    )


def test_a_question_for_an_example_gets_the_block_though_a_sentence_fits_better() -> None:
    query, scored = score("example of the port of airflow's page in old documents")
    assert "make restart" in compose(scored, query)
    assert "make restart" not in compose(scored, score("the port of airflow's page in old documents")[0])


def test_rows_keep_the_header_of_their_table() -> None:
    query, scored = score("mcp server 8889")
    table = "| Service | Port |\n| --- | --- |\n| Airflow | 8888 |\n| Airflow MCP server | 8889 |"
    assert table in compose(scored, query)


def test_a_table_comes_with_the_sentence_that_opens_the_passage_and_the_one_before_it() -> None:
    text = "## Who\n\nThree files say it.\n\nThey are read in order:\n\n| File | Owner |\n| --- | --- |\n| a | Ann |"
    query, scored = score("owner ann", text)
    assert compose(scored, query).startswith("Three files say it.\n\nThey are read in order:\n\n| File | Owner |")


def test_a_sentence_that_introduces_a_list_is_followed_by_it_when_a_list_was_asked_for() -> None:
    text = "## Hosts\n\nThe script accepts two systems.\n\n- RHEL 9\n- Rocky 9\n\nAnything else ends it."
    query, scored = score("which systems does the script accept", text)
    assert compose(scored, query) == "The script accepts two systems.\n\n- RHEL 9\n- Rocky 9"
    query, scored = score("does the script accept anything", text)
    assert "RHEL 9" not in compose(scored, query)


def test_of_a_long_table_only_the_best_rows_are_taken() -> None:
    rows = "\n".join(f"| VARIABLE_{number} | meaning |" for number in range(40))
    query, scored = score("variable_7", f"## All\n\n| Name | What |\n| --- | --- |\n{rows}")
    extract = compose(scored, query)
    assert "VARIABLE_7 |" in extract
    assert extract.count("VARIABLE_") == MAX_GROUP


def test_sentences_come_in_the_order_of_the_text() -> None:
    query, scored = score("airflow page port old documents 8080")
    extract = compose(scored, query)
    assert extract.index("on port 8888") < extract.index("old documents")


def test_an_extract_stays_short() -> None:
    text = "## Long\n\n" + " ".join(f"Airflow sentence number {number} is about ports." for number in range(60))
    query, scored = score("airflow ports", text)
    assert len(compose(scored, query)) <= MAX_CHARS + 3


def test_a_passage_without_text_gives_nothing() -> None:
    query, scored = score("anything", "## Only a heading")
    assert (compose(scored, query), excerpt(scored, query)) == ("", "")


def test_a_row_among_the_best_brings_its_whole_table() -> None:
    table = "| Mode | Switch |\n| --- | --- |\n| cloud, default | off |\n| local | on |"
    text = f"## Modes\n\nThe assistant has two modes and cloud is the default.\n\n{table}\n\nLocal keeps data here."
    query, scored = score("is the cloud the default mode", text)
    assert table in compose(scored, query)


def test_a_question_in_the_text_is_not_left_without_its_answer() -> None:
    text = "## Disk\n\nThe disk for guests is named in the inventory.\n\nNo spare disk?"
    query, scored = score("which disk for the guests", text)
    assert compose(scored, query) == "The disk for guests is named in the inventory."


def test_a_sentence_that_answers_brings_the_command_behind_it_when_one_is_wanted() -> None:
    text = "## Remove\n\nDeleting the machines comes first.\n\n```bash\nkcli delete vm web01\n```"
    query, scored = score("how do i go about deleting the machines first", text)
    assert compose(scored, query).endswith("comes first.\n\n```bash\nkcli delete vm web01\n```")
    query, scored = score("why is deleting the machines first", text)
    assert compose(scored, query) == "Deleting the machines comes first."


def test_a_segment_scores_with_the_cosine_of_the_chunk_that_holds_it() -> None:
    text = "## Part\n\nOne thing. Another thing."
    chunks = (Chunk("One thing.", ("Part",)), Chunk("Another thing.", ("Part",)))
    units = [
        Unit("0", text, "Page", (), "page.md", (1, 3), "", chunks),
        Unit("1", text, "Page", (), "b.md", (1, 3), "", ()),
    ]
    query = Query("unheard", "unheard", (), ())
    first, second = score_segments(units, [np.array([0.25, 0.5]), np.zeros(0)], query, {})
    assert [item.score for item in first] == [0.25 + LEADING, 0.5]
    assert [item.score for item in second] == [LEADING, 0.0]


def found(text: str, question: str, relevance: float, *, reviewed: bool = True) -> Found:
    """Return a passage as a search finds it."""
    sources = ("a.md",) if reviewed else ()
    made = chunk(Document("page.md", text, "Page", "0", sources=sources), lambda _document, _lines: "")[0]
    query = Query(question, question, tuple(terms(question)), ())
    scored = score_segments([made], [np.zeros(len(made.chunks))], query, dict.fromkeys(query.terms, 1.0))[0]
    return Found(made, scored, relevance)


def asked(question: str) -> Query:
    return Query(question, question, tuple(terms(question)), ())


WIPES = """## Prepare a disk

The playbook erases the disk that you name. Copy what you need first.

```bash
make prepare DISK=/dev/vdb
```
"""


def test_a_section_of_a_reviewed_page_is_quoted_whole_with_its_citation() -> None:
    whole = answer([found(WIPES, "command to prepare a disk", 9.0)], asked("command to prepare a disk")).text
    assert whole == WIPES.split("\n", 2)[2].strip() + "\n\n[1]"
    assert len(whole) <= WHOLE_CHARS


def test_no_command_is_quoted_without_the_warning_of_its_passage() -> None:
    long = WIPES + "\nAnother sentence about nothing much. " * 40
    unreviewed = found(long, "command to prepare a disk", 9.0, reviewed=False)
    said = answer([unreviewed], asked("command to prepare a disk")).text
    assert "make prepare" in said
    assert said.index("erases the disk") < said.index("make prepare")


def test_further_passages_add_sentences_with_their_own_citation_unless_they_trail_far() -> None:
    first = found("## One\n\nAirflow listens on port 8888.\n", "airflow port and login", 9.0)
    near = found(
        "## Two\n\nThe login of Airflow is admin.\n\n```bash\nmake login\n```\n", "airflow port and login", 6.0
    )
    far = found("## Three\n\nAirflow port login is a word.\n", "airflow port and login", 2.0)
    said = answer([first, near, far], asked("airflow port and login"))
    assert said.text == "Airflow listens on port 8888. [1]\n\nThe login of Airflow is admin. [2]"
    assert said.cited == (1, 2)


def test_a_further_passage_says_less_where_the_first_leaves_less_room() -> None:
    short, long = "Airflow has a port.", " ".join(f"Airflow has the port {number} of the lab." for number in range(25))
    kept = "is kept in the vault that the owner of the host opens with the key of the safe behind the door."
    more = " ".join(f"The login of Airflow number {number} {kept}" for number in range(9))
    sizes = {}
    for lead in (short, long):
        first, second = (found(f"## Part\n\n{text}\n", "airflow login", at) for text, at in ((lead, 9.0), (more, 8.0)))
        said = answer([first, second], asked("airflow login"))
        assert said.cited == (1, 2)
        sizes[lead] = len(said.text) - len(lead)
    assert sizes[long] <= READ_CHARS - len(long) + 10 < sizes[short]  # 10 for the citations


def test_a_further_passage_adds_the_entries_that_answer() -> None:
    first = found("## One\n\nAirflow has ports.\n", "airflow port", 9.0)
    listed = "- The airflow port of the page is 8888\n- The airflow port of the server is 8889\n- Bread is baked daily"
    said = answer([first, found(f"## Two\n\n{listed}\n", "airflow port", 8.0)], asked("airflow port"))
    assert "8888" in said.text and "8889" in said.text and "Bread" not in said.text


def test_a_citation_stands_below_a_table_or_a_command_block() -> None:
    table = found("## Ports\n\n| Port | For |\n| --- | --- |\n| 8888 | Airflow |\n", "ports", 9.0)
    assert answer([table], asked("ports")).text.endswith("| 8888 | Airflow |\n\n[1]")


def test_configuration_is_shown_as_it_stands_and_its_excerpt_is_a_line() -> None:
    text = "storage:\n  # the default class of the lab\n  class: ocs-rbd\n  size: 400\n  disks:\n    - vdb\n"
    made = chunk(Document("lab.yml", text, "lab (lab.yml)", "0"), lambda _document, _lines: "")[0]
    query = asked("which class does it take")
    scored = score_segments([made], [np.zeros(len(made.chunks))], query, dict.fromkeys(query.terms, 1.0))[0]
    assert excerpt(scored, query) == "class: ocs-rbd"
    assert compose(scored, query).startswith("```\nstorage:\n  # the default class of the lab\n")
