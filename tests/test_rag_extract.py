"""The extract and the excerpt: verbatim, to the point, and right on their own."""

from rag.extract import MAX_CHARS, Scored, compose, excerpt, score_segments
from rag.lexical import terms
from rag.query import Query
from rag.segments import segments, sentences

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
    return query, score_segments(text, query, lambda term: 1.0, lambda segment: 0.0)


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
    _, scored = score("restart it from its folder, which command")
    assert compose(scored) == "Restart it from its folder:\n\n```bash\ncd airflow\n# all of it\nmake restart\n```"


def test_rows_keep_the_header_of_their_table() -> None:
    _, scored = score("mcp server 8889")
    assert compose(scored).startswith("| Service | Port |\n| --- | --- |\n| Airflow MCP server | 8889 |")


def test_sentences_come_in_the_order_of_the_text() -> None:
    _, scored = score("airflow page port old documents 8080")
    extract = compose(scored)
    assert extract.index("on port 8888") < extract.index("old documents")


def test_an_extract_stays_short() -> None:
    text = "## Long\n\n" + " ".join(f"Airflow sentence number {number} is about ports." for number in range(60))
    assert len(compose(score("airflow ports", text)[1])) <= MAX_CHARS + 3


def test_a_passage_without_text_gives_nothing() -> None:
    query, scored = score("anything", "## Only a heading")
    assert (compose(scored), excerpt(scored, query)) == ("", "")
