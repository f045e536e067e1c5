"""Train a LoRA adapter over packed rows: peft's layers, trl's supervised fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.tuning.base import PROJECTIONS
from model.tuning.packs import Pack, batch

CHECKPOINTS = "checkpoints"  # below the folder of a run
WARM_UP = 5  # updates


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choices of a training run."""

    rank: int = 8
    alpha: int = 16  # what the adapter adds is multiplied by alpha / rank
    epochs: float = 1.0
    learning_rate: float = 3e-4
    packs: int = 4  # of one update
    minutes: float = 0.0  # after which the run ends, however many rows are left; 0: never
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run gave: the folder of peft's files, and the loss on held-out rows before and after, in nats a token."""

    folder: Path
    steps: int
    epochs: float  # how often each row was read; less than 1 where the time ended first
    loss_before: float
    loss_after: float


def device() -> tuple[str, Any]:
    """Return the device to train on, and the torch type of the weights there: half where it computes with them."""
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.bfloat16
    return "cpu", torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32


def train(
    model: Any, base: str, learnt: Sequence[Pack], held_out: Sequence[Pack], recipe: Recipe, out: Path
) -> Trained:
    """Train an adapter over `model` and write it into `out`/adapter; a run that was cut off goes on.

    base: the name that the adapter gives its base. Of the rows the tokens of answers count alone. On a GPU activations
    are computed again instead of kept.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    on_gpu = next(model.parameters()).device.type != "cpu"
    settings = SFTConfig(
        output_dir=str(out / CHECKPOINTS),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=recipe.packs,
        learning_rate=recipe.learning_rate,
        bf16=False,  # the weights have the type they are to be computed in
        use_cpu=not on_gpu,
        gradient_checkpointing=on_gpu,
        max_length=None,
        logging_steps=2,
        save_steps=10,
        save_total_limit=1,
        report_to="none",
        seed=recipe.seed,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},  # the rows are tokens already
    )
    layers = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM")
    clock = _Clock(time.monotonic(), 60 * recipe.minutes)

    class Trainer(SFTTrainer):  # type: ignore[misc]
        """Takes smaller steps as the rows or the minutes come to an end, and stops with either."""

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            """Return the schedule of the learning rate."""
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: clock.rate(step, num_training_steps))
            return self.lr_scheduler

    class Stop(TrainerCallback):  # type: ignore[misc]
        """Ends the run when its time is over."""

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_more: Any) -> None:
            """Look at the clock after each update."""
            control.should_training_stop |= clock.over

    trainer = Trainer(
        model, settings, train_dataset=Dataset.from_list([asdict(pack) for pack in learnt]), data_collator=batch,
        eval_dataset=Dataset.from_list([asdict(pack) for pack in held_out]), processing_class=_no_tokenizer(),
        peft_config=layers, callbacks=[Stop()],
    )  # fmt: skip
    before = trainer.evaluate()["eval_loss"]
    clock = _Clock(time.monotonic(), 60 * recipe.minutes)
    begun = any((out / CHECKPOINTS).glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=begun or None)
    after = trainer.evaluate()["eval_loss"]
    trainer.model.peft_config["default"].base_model_name_or_path = base
    trainer.model.save_pretrained(out / "adapter", save_embedding_layers=False)
    (out / "adapter" / "README.md").unlink(missing_ok=True)  # peft's, of blanks; the card stands beside the GGUF
    return Trained(out / "adapter", trainer.state.global_step, trainer.state.epoch or 0.0, before, after)


@dataclass(frozen=True, slots=True)
class _Clock:
    """How far a run is, by its updates or its time, whichever is nearer to the end."""

    started: float
    limit: float  # seconds, 0 for none

    @property
    def _spent(self) -> float:
        return (time.monotonic() - self.started) / self.limit if self.limit else 0.0

    @property
    def over(self) -> bool:
        return self._spent >= 1.0

    def rate(self, step: int, steps: int) -> float:
        """Return the share of the full learning rate for update number `step`: it warms up, then falls to zero."""
        return min(1.0, (step + 1) / WARM_UP) * max(0.0, 1.0 - max(step / steps, self._spent))


def _no_tokenizer() -> Any:
    """Return the tokenizer that trl insists on; the base's own file tokenised the rows, and nothing is padded."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>"))  # noqa: S106 - no password
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<pad>")  # noqa: S106
