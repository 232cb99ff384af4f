"""The guidance dies exactly where a point-mass prior has decided; the chapter on posterior sampling rests on it."""

import pytest
import torch

from lib.guidance import Settled, denoise_and_gradient, with_graph
from lib.mixture import MemorizedPrior
from lib.samplers import dps
from lib.schedule import karras_sigmas


@pytest.mark.parametrize("direct", [2**20, 0])
def test_guidance_is_exactly_zero_where_one_example_holds_the_responsibility(direct, monkeypatch):
    # Not merely small: rounding divided by sigma^2 would push the state off its example.
    monkeypatch.setattr("lib.point_masses._DIRECT", direct)
    drawn = torch.Generator().manual_seed(0)
    examples = torch.randn(20, 64, generator=drawn)
    x = examples[:4] + 0.02 * torch.randn(4, 64, generator=drawn)
    prior = MemorizedPrior(examples, 0.02)
    _, gradient, _ = denoise_and_gradient(prior.denoise, lambda z: z**3, torch.ones(64), x, torch.tensor(0.02))
    assert (gradient == 0).all()


@pytest.mark.parametrize("guidance", ["likelihood", "normalized"])
def test_settled_samples_need_no_forward_solve_and_the_result_is_the_same(guidance):
    drawn = torch.Generator().manual_seed(0)
    examples = 2 * torch.randn(20, 30, generator=drawn)
    prior, d_obs = MemorizedPrior(examples, 0.02), torch.ones(30)
    sigmas = karras_sigmas(30, 10.0, 0.02, dtype=torch.float32)
    found, rows, misfits = {}, {}, {}
    for skip in (False, True):
        rows[skip], misfits[skip] = [], []

        def forward(z, rows=rows[skip]):
            rows.append(len(z))
            return z**3 / 9

        found[skip] = dps(
            prior.denoise, forward, d_obs, 0.5, sigmas, (6, 30), guidance, skip_settled=skip,
            generator=torch.Generator().manual_seed(1), callback=lambda s, k=skip: misfits[k].append(s.get("misfit")),
        )  # fmt: skip
    assert torch.equal(found[True], found[False])
    assert sum(rows[True]) < 0.75 * sum(rows[False])
    for with_skip, without in zip(misfits[True][:-1], misfits[False][:-1], strict=True):
        assert torch.equal(with_skip, without)


def test_a_denoiser_that_answers_to_x_is_never_settled():
    """D may come back to the same numbers while J_D is not 0: clipped in value, not in slope."""
    settled, x = Settled(), torch.zeros(2, 3)
    matrix = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])

    def denoise(z, sigma):
        return torch.stack([z[0] @ (0 * matrix), z[1] @ matrix])

    for expected in ([False, False], [True, False]):
        leaf, denoised = with_graph(denoise, x, torch.tensor(1.0))
        assert settled.rows(leaf, denoised).tolist() == expected
        settled.keep(denoised, torch.zeros(2))
