"""Run one chat turn: evidence, tool calls, generation and checks, as a stream of events."""

from model.turn.chat import Ask, Chat, TurnRecord

__all__ = ["Ask", "Chat", "TurnRecord"]
