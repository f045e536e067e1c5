"""An answer in another language than the question's is told from one in the same; short ones are not judged."""

from __future__ import annotations

import pytest

from onboarding.assistant.answer_language import is_in_another_language
from onboarding.assistant.replies import Replies
from onboarding.routing.language.lexicon import load_lexicon

ANSWERS = {
    "en": "The deployment script refuses RHEL 8 [1], prints an error and ends. Upgrade to RHEL 9 first.",
    "de": "Das Skript lehnt RHEL 8 ab [1], gibt einen Fehler aus und endet. Aktualisieren Sie zuerst auf RHEL 9.",
    "es": "El script rechaza RHEL 8 [1], imprime un error y termina. Actualice primero a RHEL 9.",
    "fr": "Le script refuse RHEL 8 [1], affiche une erreur et se termine. Passez d'abord à RHEL 9.",
    "it": "Lo script rifiuta RHEL 8 [1], stampa un errore e termina. Aggiorna prima a RHEL 9.",
    "pt": "O script recusa o RHEL 8 [1], imprime um erro e termina. Atualize primeiro para o RHEL 9.",
    "nl": "Het script weigert RHEL 8 [1], geeft een foutmelding en stopt. Werk eerst bij naar RHEL 9.",
    "cs": "Skript odmítá RHEL 8 [1], vypíše chybu a skončí. Nejprve přejděte na RHEL 9, potom to zkuste znovu.",
    "ar": "يرفض البرنامج RHEL 8 ويطبع خطأ وينتهي. قم بالترقية إلى RHEL 9 أولاً ثم حاول مرة أخرى.",
    "ja": "スクリプトは RHEL 8 を拒否し、エラーを表示して終了します。",
    "ko": "스크립트는 RHEL 8을 거부하고 오류를 출력하고 끝납니다. 먼저 RHEL 9로 올린 다음 다시 하세요.",
    "zh": "脚本拒绝 RHEL 8，打印错误并退出。请先升级到 RHEL 9。",
}
LEXICON = load_lexicon()


@pytest.mark.parametrize("asked", sorted(ANSWERS))
@pytest.mark.parametrize("answered", sorted(ANSWERS))
def test_an_answer_is_foreign_where_it_is_in_another_language(asked: str, answered: str) -> None:
    assert is_in_another_language(ANSWERS[answered], asked, LEXICON) is (asked != answered)


@pytest.mark.parametrize(
    "answer", ["", "Ja.", "RHEL 9, RHEL 10, Rocky Linux 9.", "```bash\nsudo dnf install -y git\n```"]
)
def test_what_is_too_short_to_tell_is_not_judged(answer: str) -> None:
    assert not is_in_another_language(answer, "de", LEXICON)


def test_commands_and_names_do_not_make_an_answer_foreign() -> None:
    answer = f"{ANSWERS['de']}\n\n```bash\ngit clone the repository and then run the script with all of these\n```\n"
    assert not is_in_another_language(answer, "de", LEXICON)


def test_every_language_can_say_so() -> None:
    replies = Replies()._replies
    assert len({texts["other_language"] for texts in replies.values()}) == len(replies) == 12
