"""Small tasks of ensembles, in a file of their own: a worker imports what its task needs and nothing else."""

import glob
import os
import signal
import time

import numpy as np
import torch


def light(key, generator, log=None, deadly=None, after=None, once=None, failing=None):
    """A few random numbers; on request it notes that it ran, kills its own process (once or always), or fails.

    after: A folder and how many parts it must hold before the process is killed.
    """
    if log:
        with open(log, "a") as file:
            file.write(f"{key}\n")
    if key == deadly and not (once and os.path.exists(once)):
        while after and len(glob.glob(f"{after[0]}/*.npz")) < after[1]:
            time.sleep(0.01)
        if once:
            open(once, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if key == failing:
        raise KeyError("no such model")
    return {"x": torch.randn(3, generator=generator), "plain": torch.zeros(2), "name": f"task {key}"}


def graded(key, generator):
    """The slope of x^2 at 3."""
    x = torch.tensor(3.0, requires_grad=True)
    x.square().backward()
    return {"gradient": x.grad}


def mixed(key, generator):
    """One entry of each kind."""
    return {
        "file": torch.tensor([float("nan"), -0.0]), "bits": torch.ones(2, 2, requires_grad=True)[:, :1], "whole": 3,
        "text": "é", "list": ["a", "bcd"], "truth": True, "empty": np.zeros((0, 3), np.float16), "f 2/3": 1j,
    }  # fmt: skip


def posterior(key, generator, examples):
    """Posterior samples of a stylized problem or of waves, and the number of threads that drew them."""
    from lib.forward import stylized_2d
    from lib.mixture import MemorizedPrior
    from lib.samplers import dps
    from lib.schedule import karras_sigmas
    from lib.seismic import AcousticForward, Acquisition, VelocityForward
    from lib.velocity import CosineField

    forward, x = stylized_2d, examples[:, :2]
    if key != "stylized":
        survey = Acquisition.surface((12, 12), grid_spacing=25.0, dt=0.004, nt=60, peak_freq=8.0, num_shots=2,
                                     num_receivers=6, max_vel=4000.0)  # fmt: skip
        forward, x = VelocityForward(CosineField((12, 12), 6, corr_length=3.0), AcousticForward(survey)), examples
    truth = torch.randn(1, x.shape[1], generator=generator)
    data, sigmas = forward(truth)[0], karras_sigmas(4, 5.0, 0.1, dtype=x.dtype)
    samples = dps(MemorizedPrior(x, 0.1).denoise, forward, data, 0.3 * float(data.std()), sigmas, (3, x.shape[1]),
                  generator=generator)  # fmt: skip
    return {"samples": samples, "truth": truth, "threads": torch.get_num_threads()}
