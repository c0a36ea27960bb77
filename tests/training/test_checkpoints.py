"""Checkpoints are complete, restore everything, and a damaged one is recognized."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file, save_file

from spade_hf import SPADEGenerator
from spade_hf.training import (
    CheckpointManager,
    DamagedCheckpointError,
    ModelEMA,
    TrainingState,
    learning_rate_schedule,
    list_checkpoints,
)

from ..training_data import make_networks


class Run:
    """Networks, averages, optimizers and schedules as in the script, without data: gradients are random numbers."""

    def __init__(self, output_dir, seed=0, total_limit=None, networks=None):
        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()
        self.accelerator = Accelerator(cpu=True)
        self.networks = networks or make_networks(seed)
        self.averages = {name: ModelEMA(self.networks[name], 0.5) for name in ("generator", "style_encoder")}
        self.optimizers, self.schedules = [], []
        for network in self.accelerator.prepare(*self.networks.values()):
            optimizer = self.accelerator.prepare(torch.optim.Adam(network.parameters(), 1e-3))
            schedule = learning_rate_schedule("constant_then_linear", optimizer, num_steps=20)
            self.optimizers.append(optimizer)
            self.schedules.append(self.accelerator.prepare(schedule))
        self.checkpoints = CheckpointManager(
            self.accelerator,
            output_dir,
            networks=self.networks,
            averages=self.averages,
            arguments={"dataset_name": "x", "seed": seed},
            total_limit=total_limit,
        )

    def train(self, steps):
        for _ in range(steps):
            for network, optimizer, schedule in zip(
                self.networks.values(), self.optimizers, self.schedules, strict=True
            ):
                for parameter in network.parameters():
                    parameter.grad = torch.randn(parameter.shape)
                for buffer in network.buffers():
                    if buffer.is_floating_point():
                        buffer.add_(torch.rand(buffer.shape))
                optimizer.step()
                schedule.step()
            for name, average in self.averages.items():
                average.update(self.networks[name])
        return self

    def tensors(self):
        """Everything that a step depends on, by name."""
        found = {
            f"{name}.{key}": value for name, net in self.networks.items() for key, value in net.state_dict().items()
        }
        for name, average in self.averages.items():
            found |= {f"{name}_ema.{key}": value for key, value in average.model.state_dict().items()}
            found[f"{name}_ema.num_updates"] = torch.tensor(average.num_updates)
        for index, (optimizer, schedule) in enumerate(zip(self.optimizers, self.schedules, strict=True)):
            for key, values in optimizer.state_dict()["state"].items():
                found |= {f"optimizer{index}.{key}.{name}": value for name, value in values.items()}
            found[f"rate{index}"] = torch.tensor(schedule.get_last_lr())
        return found


def assert_equal(first, second):
    first, second = first.tensors(), second.tensors()
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def saved(output_dir, *steps, **options):
    """A run with a checkpoint at each of the steps."""
    run = Run(output_dir, **options)
    done = 0
    for step in steps:
        run.train(step - done)
        run.checkpoints.save(TrainingState(global_step=step, epoch=1, batches_done=step))
        done = step
    return run


def test_everything_is_restored_and_goes_on_the_same(tmp_path):
    first = saved(tmp_path, 3)
    second = Run(tmp_path, seed=1)
    assert second.checkpoints.resume("latest") == TrainingState(3, 1, 3)
    assert_equal(first, second)
    torch.manual_seed(5)
    first.train(2)
    torch.manual_seed(5)
    second.train(2)
    assert_equal(first, second)


def test_the_global_random_states_are_restored(tmp_path):
    saved(tmp_path, 1)
    expected = torch.rand(3)
    torch.manual_seed(99)
    Run(tmp_path).checkpoints.resume("latest")
    assert torch.equal(torch.rand(3), expected)


def test_layout_of_a_checkpoint(tmp_path):
    saved(tmp_path, 2)
    folder = tmp_path / "checkpoint-2"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = ("generator_live", "generator_ema", "style_encoder_live", "style_encoder_ema", "discriminator")
    networks = {f"{name}/{file}" for name in names for file in ("config.json", "diffusion_pytorch_model.safetensors")}
    accelerates = {"random_states_0.pkl"} | {
        f"{one}{i}.bin" for one in ("optimizer", "scheduler") for i in ("", "_1", "_2")
    }
    assert files == networks | accelerates | {"arguments.json", "training_state.json", "checksums.json"}
    assert json.loads((folder / "arguments.json").read_text()) == {"dataset_name": "x", "seed": 0}
    checksums = json.loads((folder / "checksums.json").read_text())
    assert checksums.keys() == files - {"checksums.json"}
    SPADEGenerator.from_pretrained(str(folder / "generator_live"))  # networks are folders like any other


def test_checkpoints_that_count_the_averages_updates_apart_still_load(tmp_path):
    """As they were written before; the count is that of the steps."""
    first = saved(tmp_path, 2)
    state = tmp_path / "checkpoint-2" / "training_state.json"
    assert json.loads(state.read_text()) == {"global_step": 2, "epoch": 1, "batches_done": 2}
    state.write_text(json.dumps({**json.loads(state.read_text()), "ema_updates": 2}))
    (tmp_path / "checkpoint-2" / "checksums.json").unlink()
    second = Run(tmp_path, seed=1)
    assert second.checkpoints.resume("latest") == TrainingState(2, 1, 2)
    assert_equal(first, second)


def test_checkpoints_without_checksums_still_load(tmp_path):
    first = saved(tmp_path, 2)
    (tmp_path / "checkpoint-2" / "checksums.json").unlink()
    second = Run(tmp_path, seed=1)
    second.checkpoints.resume("latest")
    assert_equal(first, second)


def test_checkpoints_without_a_pipeline_still_load(tmp_path):
    """They have the live networks where later ones have the pipeline's."""
    first = saved(tmp_path, 2)
    folder = tmp_path / "checkpoint-2"
    for name in ("generator", "style_encoder"):
        (folder / f"{name}_live").rename(folder / name)
    checksums = (folder / "checksums.json").read_text()
    (folder / "checksums.json").write_text(checksums.replace("_live/", "/"))
    second = Run(tmp_path, seed=1)
    second.checkpoints.resume("latest")
    assert_equal(first, second)


def test_a_checkpoint_by_name_and_by_path(tmp_path):
    saved(tmp_path, 2, 5)
    run = Run(tmp_path)
    assert run.checkpoints.resume("checkpoint-2").global_step == 2
    assert run.checkpoints.resume(str(tmp_path / "checkpoint-2")).global_step == 2
    assert run.checkpoints.resume("latest").global_step == 5


def test_latest_without_any_is_a_fresh_start(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert Run(tmp_path).checkpoints.resume("latest") == TrainingState()
    assert "starting a new run" in caplog.text


def test_a_name_that_is_not_there(tmp_path):
    saved(tmp_path, 2)
    with pytest.raises(ValueError, match=r"checkpoint-9 does not exist; available are: checkpoint-2\."):
        Run(tmp_path).checkpoints.resume("checkpoint-9")


def test_order_is_by_number_and_leftovers_do_not_count(tmp_path):
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-11.partial", "checkpoint-old", "samples"):
        (tmp_path / name).mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-10"]


def saved_as(output_dir):
    """Names of checkpoints -> the step in each one's state."""
    return {path.parent.name: json.loads(path.read_text())["global_step"]
            for path in output_dir.glob("*/training_state.json")}  # fmt: skip


def test_the_limit_keeps_the_newest(tmp_path):
    saved(tmp_path, 1, 2, 3)
    run = Run(tmp_path, total_limit=2)
    run.checkpoints.resume("latest")
    run.checkpoints.save(TrainingState(global_step=4))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-3", "checkpoint-4"}


def test_a_fresh_run_beside_a_longer_one_keeps_its_checkpoints(tmp_path, caplog):
    saved(tmp_path, 30)
    saved(tmp_path, 5, 10, total_limit=1)
    assert saved_as(tmp_path) == {"checkpoint-10": 10, "checkpoint-30.abandoned": 30}
    assert "checkpoint-30: renamed to checkpoint-30.abandoned; delete it if not needed" in caplog.text
    assert Run(tmp_path).checkpoints.resume("latest").global_step == 10
    saved(tmp_path, 30)
    saved(tmp_path, 1)  # a second time: what was set aside stays
    assert set(saved_as(tmp_path)) == {"checkpoint-1", *(f"checkpoint-{name}" for name in (
        "10.abandoned", "30.abandoned", "30.abandoned-2"))}  # fmt: skip


def test_a_run_resumed_from_an_older_checkpoint_keeps_its_own(tmp_path):
    saved(tmp_path, 10, 20, 30)
    run = Run(tmp_path, total_limit=3)
    run.checkpoints.resume("checkpoint-10")
    assert set(saved_as(tmp_path)) == {"checkpoint-10", "checkpoint-20", "checkpoint-30"}  # nothing is saved yet
    for step in (15, 25, 35):  # 20 is not this run's, although it is older than 25
        run.checkpoints.save(TrainingState(global_step=step))
        assert Run(tmp_path).checkpoints.resume("latest").global_step == step
    abandoned = {"checkpoint-20.abandoned", "checkpoint-30.abandoned"}
    assert set(saved_as(tmp_path)) == {"checkpoint-15", "checkpoint-25", "checkpoint-35", *abandoned}
    back = Run(tmp_path)
    assert back.checkpoints.resume("checkpoint-30.abandoned").global_step == 30


def test_descending_steps(tmp_path):
    run = saved(tmp_path, 9, total_limit=1)
    for step in (6, 3, 3):
        assert run.checkpoints.save(TrainingState(global_step=step)).is_dir()
        assert Run(tmp_path).checkpoints.resume("latest").global_step == step


@pytest.mark.parametrize("killed_at", [0, 1])
def test_killed_while_one_takes_the_place_of_another(killed_at, tmp_path, monkeypatch):
    """Between the renames there is always the old one or the new one, complete."""
    saved(tmp_path, 2)
    run, rename, calls = Run(tmp_path, seed=1), Path.rename, []

    def rename_or_die(path, target):
        calls.append(path.name)
        if len(calls) == killed_at + 1:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_or_die)
    with pytest.raises(KeyboardInterrupt):
        run.checkpoints.save(TrainingState(global_step=2))
    monkeypatch.undo()
    assert calls == ["checkpoint-2", "checkpoint-2.partial"][: killed_at + 1]
    again = saved(tmp_path, 1)
    assert again.checkpoints.resume("checkpoint-2.abandoned").global_step == 2
    assert set(saved_as(tmp_path)) == {"checkpoint-1", "checkpoint-2.abandoned"}


def test_everything_is_on_the_disk_before_an_old_checkpoint_is_deleted(tmp_path, monkeypatch):
    """fsync of each file and folder, in this order: content, the new name, and only then the deletion."""
    run = saved(tmp_path, 2, total_limit=1)
    synced, fsync = [], os.fsync

    def recorded(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    rename = Path.rename
    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(Path, "rename", lambda path, target: synced.append(path.name) or rename(path, target))
    final = run.checkpoints.save(TrainingState(global_step=4))
    written, named, deleted = (synced.index(mark) for mark in (
        "checkpoint-4.partial", tmp_path.stat().st_ino, "checkpoint-2"))  # fmt: skip
    assert written < named < deleted
    assert {path.stat().st_ino for path in (final, *final.rglob("*"))} == set(synced[:written])
    assert (final / "checksums.json").stat().st_ino in synced


def test_an_interrupted_save_leaves_the_one_before(tmp_path, monkeypatch):
    run = saved(tmp_path, 2)
    monkeypatch.setattr(SPADEGenerator, "save_pretrained", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.checkpoints.save(TrainingState(global_step=4))
    monkeypatch.undo()
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2", "checkpoint-4.partial"}
    assert Run(tmp_path).checkpoints.resume("latest").global_step == 2
    run.checkpoints.save(TrainingState(global_step=6))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2", "checkpoint-6"}  # the leftover is gone


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(bytes(content))


DAMAGES = [
    ("optimizer_1.bin", cut, r"optimizer_1.bin is damaged: its checksum differs from the recorded one"),
    ("generator_ema/diffusion_pytorch_model.safetensors", flip_a_bit, r"generator_ema.*model.safetensors is damaged"),
    ("random_states_0.pkl", lambda file: file.unlink(), r"checkpoint-4 is damaged: it has no random_states_0.pkl"),
    ("training_state.json", lambda file: file.unlink(), r"checkpoint-4 is not a complete .* no training_state.json"),
    ("training_state.json", cut, r"training_state.json is damaged"),
    ("checksums.json", cut, r"checksums.json is damaged"),
]


@pytest.mark.parametrize(("name", "damage", "message"), DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(name, damage, message, tmp_path, caplog):
    run = saved(tmp_path, 2)
    expected = run.tensors()
    expected = {name: value.clone() for name, value in expected.items()}
    run.train(2)
    run.checkpoints.save(TrainingState(4, 1, 4))
    damage(tmp_path / "checkpoint-4" / name)
    with pytest.raises(DamagedCheckpointError, match=message):
        Run(tmp_path).checkpoints.resume("checkpoint-4")
    again = Run(tmp_path, seed=1)
    assert again.checkpoints.resume("latest").global_step == 2
    assert "Trying the previous checkpoint" in caplog.text
    found = again.tensors()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "generator_live/diffusion_pytorch_model.safetensors",
            r"generator_live/diffusion_pytorch_model.safetensors cannot be",
        ),
        ("optimizer.bin", r"optimizers' states in .*checkpoint-2 cannot be loaded"),
        ("style_encoder_live/config.json", r"style_encoder_live/config.json cannot be read"),
    ],
)
def test_damage_without_checksums(name, message, tmp_path):
    saved(tmp_path, 2)
    (tmp_path / "checkpoint-2" / "checksums.json").unlink()
    cut(tmp_path / "checkpoint-2" / name)
    with pytest.raises(DamagedCheckpointError, match=message):
        Run(tmp_path).checkpoints.resume("latest")  # there is none before it: no silent fresh start


def test_weights_of_other_names(tmp_path):
    saved(tmp_path, 2)
    file = tmp_path / "checkpoint-2" / "discriminator" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["strange"] = weights.pop(sorted(weights)[0])
    save_file(weights, file)
    (tmp_path / "checkpoint-2" / "checksums.json").unlink()
    with pytest.raises(DamagedCheckpointError, match=r'discriminator.* cannot be loaded: .*"strange"'):
        Run(tmp_path).checkpoints.resume("latest")


def test_other_options_are_named_and_not_taken_for_damage(tmp_path):
    saved(tmp_path, 2, 4)
    networks = make_networks()
    config = {**networks["generator"].config, "base_channels": 6}
    networks["generator"] = SPADEGenerator.from_config(config)
    with pytest.raises(
        ValueError, match=r"checkpoint-4/generator_live was trained with base_channels=4 \(this run: 6\)\."
    ) as e:
        Run(tmp_path, networks=networks).checkpoints.resume("latest")
    assert not isinstance(e.value, DamagedCheckpointError)


def test_resuming_elsewhere(tmp_path):
    """A checkpoint is a folder that can be copied."""
    first = saved(tmp_path / "a", 2)
    shutil.copytree(tmp_path / "a" / "checkpoint-2", tmp_path / "b" / "checkpoint-2")
    second = Run(tmp_path / "b", seed=1)
    second.checkpoints.resume("latest")
    assert_equal(first, second)
