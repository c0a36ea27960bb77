"""Checkpoints are complete, restore everything, and a damaged one is recognized."""

import json
import logging
import os
import re
import resource
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file, save_file

from spade_hf import SegmentationDiscriminator, SPADEGenerator
from spade_hf.training import (
    CheckpointManager,
    DamagedCheckpointError,
    ModelEMA,
    TrainingState,
    fingerprint_of,
    list_checkpoints,
    prepared_schedule,
)
from spade_hf_cli.options import as_typed, options_of
from spade_hf_cli.train.messages import warn_of_differences
from spade_hf_cli.train.parser import build_parser

from ..training_data import make_dataset, make_networks, make_rows


class Run:
    """Networks, averages, optimizers and schedules as in the script, without data: gradients are random numbers."""

    def __init__(self, output_dir, seed=0, total_limit=None, networks=None, num_steps=20, data=None):
        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()
        self.accelerator = Accelerator(cpu=True)
        self.networks = networks or make_networks(seed)
        self.averages = {name: ModelEMA(net, 0.5) for name, net in self.networks.items() if name != "discriminator"}
        self.optimizers, self.schedules = [], []
        for network in self.accelerator.prepare(*self.networks.values()):
            optimizer = self.accelerator.prepare(torch.optim.Adam(network.parameters(), 1e-3))
            schedule = prepared_schedule(self.accelerator, "constant_then_linear", optimizer, num_steps=num_steps)
            self.optimizers.append(optimizer)
            self.schedules.append(schedule)
        arguments = {"dataset_name": "x", "seed": seed, "train_batch_size": 2}
        self.checkpoints = CheckpointManager(
            self.accelerator,
            output_dir,
            networks=self.networks,
            averages=self.averages,
            arguments=arguments,
            data=data,
            total_limit=total_limit,
            on_resume=partial(warn_of_differences, arguments, self.accelerator.num_processes),
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
        run.checkpoints.save(TrainingState(global_step=step, epoch=1, samples_done=2 * step))
        done = step
    return run


def test_everything_is_restored_and_goes_on_the_same(tmp_path):
    first = saved(tmp_path, 3)
    second = Run(tmp_path, seed=1)
    assert second.checkpoints.resume("latest") == TrainingState(3, 1, 6)
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
    assert json.loads((folder / "arguments.json").read_text()) == {
        "dataset_name": "x", "seed": 0, "train_batch_size": 2
    }  # fmt: skip
    checksums = json.loads((folder / "checksums.json").read_text())
    assert checksums.keys() == files - {"checksums.json"}
    SPADEGenerator.from_pretrained(str(folder / "generator_live"))  # networks are folders like any other


def make_old(checkpoint, *, num_processes, **more):
    """Rewrite a checkpoint as an earlier version wrote it with this many processes: it counted by process."""
    file = checkpoint / "training_state.json"
    state = json.loads(file.read_text())
    batches = state["samples_done"] // (2 * num_processes)
    old = {"global_step": state["global_step"], "epoch": state["epoch"], "batches_done": batches, **more}
    file.write_text(json.dumps(old))
    for schedule in checkpoint.glob("scheduler*.bin"):
        values = torch.load(schedule, weights_only=True)
        values["last_epoch"] *= num_processes
        torch.save({**values, "_step_count": values["last_epoch"] + 1}, schedule)
    for process in range(1, num_processes):
        shutil.copy(checkpoint / "random_states_0.pkl", checkpoint / f"random_states_{process}.pkl")
    (checkpoint / "checksums.json").unlink()


def test_checkpoints_that_count_the_averages_updates_apart_still_load(tmp_path):
    """As they were written before; the count is that of the steps."""
    first = saved(tmp_path, 2)
    make_old(tmp_path / "checkpoint-2", num_processes=1, ema_updates=2)
    second = Run(tmp_path, seed=1)
    assert second.checkpoints.resume("latest") == TrainingState(2, 1, 4)
    assert_equal(first, second)


def rates_of(run, steps):
    """The rate of each of the next updates."""
    rates = []
    for _ in range(steps):
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in run.optimizers])
        run.train(1)
    return rates


def test_rates_and_position_hold_for_another_number_of_processes(tmp_path, caplog):
    """12 of 20 updates were made by two processes; the rest has the rates of a run that was not interrupted."""
    saved(tmp_path, 12)
    state = tmp_path / "checkpoint-12" / "training_state.json"
    assert json.loads(state.read_text())["num_processes"] == 1
    state.write_text(state.read_text().replace('"num_processes": 1', '"num_processes": 2'))
    (tmp_path / "checkpoint-12" / "checksums.json").unlink()
    run = Run(tmp_path, seed=1)
    assert run.checkpoints.resume("latest") == TrainingState(12, 1, 24)
    assert (
        "Checkpoint of 2 processes, now 1: the learning rates go on after update 12, the data after sample 24 of "
        "epoch 1. An update now has 2 samples instead of 4."
    ) in caplog.messages
    assert rates_of(run, 8) == rates_of(Run(tmp_path), 20)[12:]


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_a_checkpoint_that_counts_by_process_is_converted(num_processes, tmp_path, caplog):
    """The number of processes is that of the files of random states."""
    first = saved(tmp_path, 12)
    make_old(tmp_path / "checkpoint-12", num_processes=num_processes)
    second = Run(tmp_path, seed=1)
    assert second.checkpoints.resume("latest") == TrainingState(12, 1, 24)
    assert f"does not record its number of processes: it has the random states of {num_processes}." in caplog.text
    assert (f"Checkpoint of {num_processes} processes, now 1" in caplog.text) == (num_processes > 1)
    assert_equal(first, second)
    assert rates_of(second, 8) == rates_of(Run(tmp_path), 20)[12:]
    second.checkpoints.save(TrainingState(13, 1, 26))
    again = Run(tmp_path, seed=1)
    assert again.checkpoints.resume("latest") == TrainingState(13, 1, 26)  # it is converted once


def test_the_first_rate_after_a_change_of_the_runs_length(tmp_path):
    saved(tmp_path, 12)
    longer = Run(tmp_path, num_steps=40)
    longer.checkpoints.resume("latest")
    assert rates_of(longer, 10) == rates_of(Run(tmp_path, num_steps=40), 22)[12:]


def test_other_data_are_named(tmp_path, caplog):
    """By content: names play no part."""
    data, fewer = (fingerprint_of(make_dataset(make_rows(count))) for count in (4, 3))
    run = Run(tmp_path, data=data)
    run.checkpoints.save(TrainingState(global_step=2, broken_rows=[3]))
    assert Run(tmp_path, data=data).checkpoints.resume("latest").broken_rows == [3]
    assert "ther data" not in caplog.text
    assert Run(tmp_path, data=fewer).checkpoints.resume("latest").broken_rows == []  # they are rows of those data
    message = "Other data than the checkpoint's, so this does not repeat an uninterrupted run: the number of rows was "
    assert message + "4 and is 3." in caplog.messages
    (tmp_path / "checkpoint-2" / "data.json").unlink()
    (tmp_path / "checkpoint-2" / "checksums.json").unlink()
    Run(tmp_path, data=data).checkpoints.resume("latest")
    assert "checkpoint-2 has no fingerprint of its data, as it is of an earlier version" in caplog.messages[-1]


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


def test_a_path_is_never_replaced_by_a_folder_of_the_same_name(tmp_path, monkeypatch):
    saved(tmp_path / "out", 2)
    saved(tmp_path / "elsewhere", 2, 3)
    run = Run(tmp_path / "out")
    for name in (tmp_path / "lost" / "checkpoint-2", "lost/checkpoint-2"):
        with pytest.raises(ValueError, match=r"lost/checkpoint-2 does not exist; available are: checkpoint-2\."):
            run.checkpoints.resume(str(name))
    monkeypatch.chdir(tmp_path / "elsewhere")
    run.networks["generator"].linear_in.bias.data.fill_(9)
    run.checkpoints.save(TrainingState(global_step=2))
    run.networks["generator"].linear_in.bias.data.fill_(0)
    run.checkpoints.resume("checkpoint-2")  # of the output folder, although the current one has one, too
    assert (run.networks["generator"].linear_in.bias == 9).all()
    assert run.checkpoints.resume("checkpoint-3").global_step == 3


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
        (tmp_path / name / "training_state.json").touch()
    (tmp_path / "checkpoint-12" / "unet").mkdir(parents=True)  # of another program
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-10"]


def saved_as(output_dir):
    """Names of checkpoints -> the step in each one's state."""
    return {path.parent.name: json.loads(path.read_text())["global_step"]
            for path in output_dir.glob("*/training_state.json")}  # fmt: skip


def test_the_limit_keeps_the_newest(tmp_path):
    saved(tmp_path, 1, 2, 3, total_limit=5)
    run = Run(tmp_path, total_limit=2)
    run.checkpoints.resume("latest")
    run.checkpoints.save(TrainingState(global_step=4))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-3", "checkpoint-4"}


def test_a_limit_deletes_nothing_that_was_kept_without_one(tmp_path):
    """A run that kept all its checkpoints goes on with a limit, which is now the default."""
    saved(tmp_path, 1, 2, 3)
    make_old(tmp_path / "checkpoint-2", num_processes=1)
    run = Run(tmp_path, total_limit=1)
    run.checkpoints.resume("latest")
    for step in (4, 5):
        run.checkpoints.save(TrainingState(global_step=step))
    assert {path.name for path in tmp_path.iterdir()} == {f"checkpoint-{step}" for step in (1, 2, 3, 5)}
    arguments = json.loads((tmp_path / "checkpoint-2" / "arguments.json").read_text())
    (tmp_path / "checkpoint-2" / "arguments.json").write_text(json.dumps({**arguments, "checkpoints_total_limit": 9}))
    run.checkpoints.save(TrainingState(global_step=6))
    assert {path.name for path in tmp_path.iterdir()} == {f"checkpoint-{step}" for step in (1, 3, 6)}


def test_a_checkpoint_on_another_disk(tmp_path):
    """Of a linked folder the link is deleted."""
    saved(tmp_path / "out", 1, total_limit=1)
    (tmp_path / "out" / "checkpoint-1").rename(tmp_path / "big")
    (tmp_path / "out" / "checkpoint-1").symlink_to(tmp_path / "big")
    run = Run(tmp_path / "out", total_limit=1)
    run.checkpoints.resume("latest")
    run.checkpoints.save(TrainingState(global_step=2))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"checkpoint-2"}
    assert (tmp_path / "big" / "training_state.json").is_file()


def test_what_is_called_like_a_leftover_is_kept(tmp_path):
    names = ("checkpoint-best.partial", "checkpoint-5.partial.bak")
    for name in (*names, "checkpoint-5.partial", "checkpoint-4.deleted.partial"):
        (tmp_path / name).mkdir()
    saved(tmp_path, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-1", *names}


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


def test_a_run_resumed_from_an_older_checkpoint_keeps_its_own(tmp_path, caplog):
    saved(tmp_path, 10, 20, 30, total_limit=9)
    run = Run(tmp_path, total_limit=3)
    run.checkpoints.resume("checkpoint-10")
    assert f"goes on from {tmp_path}/checkpoint-10, although {tmp_path}/checkpoint-30 is newer" in caplog.text
    assert set(saved_as(tmp_path)) == {"checkpoint-10", "checkpoint-20", "checkpoint-30"}  # nothing is saved yet
    for step in (15, 25, 35):  # 20 is not this run's, although it is older than 25
        run.checkpoints.save(TrainingState(global_step=step))
        assert Run(tmp_path).checkpoints.resume("latest").global_step == step
    abandoned = {"checkpoint-20.abandoned", "checkpoint-30.abandoned"}
    assert set(saved_as(tmp_path)) == {"checkpoint-15", "checkpoint-25", "checkpoint-35", *abandoned}
    back = Run(tmp_path)
    assert back.checkpoints.resume("checkpoint-30.abandoned").global_step == 30


@pytest.mark.parametrize("name", ["generator", "style_encoder", "discriminator"])
def test_a_diverged_network_is_not_saved(name, tmp_path):
    """And the last good checkpoint stays, with a limit of one as well."""
    run = saved(tmp_path, 2, total_limit=1)
    parameter, value = next(iter(run.networks[name].named_parameters()))
    value.data.view(-1)[0] = float("nan")
    with pytest.raises(FloatingPointError, match=rf"^Training diverged: {name} has .* \({parameter}\) after update 3"):
        run.checkpoints.save(TrainingState(global_step=3))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2"}
    assert Run(tmp_path).checkpoints.resume("latest").global_step == 2


@pytest.mark.parametrize("of", ["a buffer", "an average"])
def test_a_diverged_buffer_or_average_is_not_saved(of, tmp_path):
    run = Run(tmp_path)
    network = run.networks["generator"] if of == "a buffer" else run.averages["generator"].model
    name = next(name for name, value in network.named_buffers() if value.is_floating_point())
    network.get_buffer(name).fill_(float("inf"))
    message = f"generator{'' if of == 'a buffer' else '_ema'} has values that are not finite ({name})"
    with pytest.raises(FloatingPointError, match=re.escape(message)):
        run.checkpoints.save(TrainingState(global_step=1))


def test_a_diverged_checkpoint_of_an_earlier_version_is_not_the_latest(tmp_path, caplog):
    saved(tmp_path, 2, 4)
    file = tmp_path / "checkpoint-4" / "discriminator" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    next(iter(weights.values())).view(-1)[0] = float("nan")
    save_file(weights, file)
    (tmp_path / "checkpoint-4" / "checksums.json").unlink()
    assert Run(tmp_path).checkpoints.resume("latest").global_step == 2
    assert "has values that are not finite in " in caplog.text


@pytest.fixture
def small_disk():
    """A function that lets no file become larger than this many bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 3_000, 12_000])  # of JSON, of networks, of optimizers
def test_a_full_disk(size, tmp_path, small_disk):
    """One line says what to do, and nothing of the new checkpoint keeps the disk full."""
    run = saved(tmp_path, 2, total_limit=1)
    small_disk(size)
    with pytest.raises(
        OSError, match=r"^checkpoint-4 cannot be written to .* MB left\. checkpoint-2 is complete\. Free"
    ) as e:
        run.checkpoints.save(TrainingState(global_step=4))
    message = as_typed(str(e.value), options_of(build_parser()))
    assert "\n" not in message and "then repeat the command with --resume_from_checkpoint latest." in message
    assert "Free space, or give --checkpoints_total_limit 1, " in message
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2"}
    small_disk(10**9)
    again = Run(tmp_path)
    assert again.checkpoints.resume("latest").global_step == 2
    again.checkpoints.save(TrainingState(global_step=4))


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
    run.checkpoints.save(TrainingState(4, 1, 8))
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


def test_another_kind_of_discriminator_is_named_and_not_taken_for_damage(tmp_path):
    saved(tmp_path, 2, 4)
    networks = make_networks()
    networks["discriminator"] = SegmentationDiscriminator(num_labels=3, base_channels=4)
    message = "4/discriminator is a MultiscaleDiscriminator (this run: SegmentationDiscriminator). Give the options"
    with pytest.raises(ValueError, match=re.escape(message)) as e:
        Run(tmp_path, networks=networks).checkpoints.resume("latest")
    assert not isinstance(e.value, DamagedCheckpointError)


@pytest.mark.parametrize("of", ["checkpoint", "run"])
def test_a_style_encoder_in_one_alone(of, tmp_path):
    networks = {name: network for name, network in make_networks().items() if name != "style_encoder"}
    without, with_one = (Run(tmp_path, networks=networks), Run(tmp_path))
    (without if of == "run" else with_one).checkpoints.save(TrainingState(global_step=2))
    message = {"checkpoint": "has style_encoder, which this run has not", "run": "has no style_encoder"}[of]
    networks = {name: network for name, network in make_networks().items() if name != "style_encoder"}
    with pytest.raises(ValueError, match=message) as e:
        Run(tmp_path, networks=networks if of == "checkpoint" else None).checkpoints.resume("latest")
    assert not isinstance(e.value, DamagedCheckpointError)


def test_resuming_elsewhere(tmp_path):
    """A checkpoint is a folder that can be copied."""
    first = saved(tmp_path / "a", 2)
    shutil.copytree(tmp_path / "a" / "checkpoint-2", tmp_path / "b" / "checkpoint-2")
    second = Run(tmp_path / "b", seed=1)
    second.checkpoints.resume("latest")
    assert_equal(first, second)
