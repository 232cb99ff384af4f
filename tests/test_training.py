"""Training: what it minimizes, step by step and in the end; the average, held-out loss, early stopping, callbacks."""

import copy
import math

import numpy as np
import pytest
import torch

from lib.mixture import MemorizedPrior
from lib.network import ResidualMLP, UNet, fit
from lib.samplers import sample
from lib.schedule import karras_sigmas
from lib.training_input import draw, held_out_draws

D = 4
MODELS = torch.randn(4000, D, generator=torch.Generator().manual_seed(0))
FEW, OTHERS = MODELS[:5], MODELS[3000:3200]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def mlp(width=16, depth=1, **options):
    return ResidualMLP(D, width=width, depth=depth, **options)


def short(network=None, examples=FEW, **options):
    return fit(network or mlp(), examples, **{"steps": 60, "every": 20, "batch_size": 16, **options})


def same(first, second):
    return all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def error(denoise, exact, sigma, examples):
    """Root mean square of denoise - exact over that of exact, where training went."""
    x0 = examples[torch.randint(len(examples), (1000,), generator=seeded(5))]
    x = x0 + sigma * torch.randn(1000, D, generator=seeded(6))
    return float((denoise(x, sigma) - exact(x, sigma)).norm() / exact(x, sigma).norm())


def population(x, sigma):
    return x / (1 + sigma**2)


def test_a_network_trained_on_five_models_is_their_memorized_prior():
    """C3: the minimizer of denoising score matching on N points is the denoiser in closed form."""
    trained = fit(mlp(64, 2), FEW, steps=800).network
    for sigma in (0.3, 0.5, 1.0):
        assert error(trained, MemorizedPrior(FEW, 0.01).denoise, sigma, FEW) < 0.1
        assert error(trained, population, sigma, FEW) > 0.2


def test_a_network_trained_on_many_models_is_the_denoiser_of_the_population():
    many = MODELS[:2000]
    trained = fit(mlp(64, 2), many, steps=400).network
    for sigma in (0.3, 0.5, 1.0):
        assert error(trained, population, sigma, many) < 0.05
        assert error(trained, MemorizedPrior(many, 0.01).denoise, sigma, many) > 0.05


def test_one_example_is_what_every_state_is_denoised_to():
    trained = fit(mlp(), FEW[:1], steps=300, batch_size=32, learning_rate=1e-2).network
    x = FEW[:1] + torch.randn(50, D, generator=seeded(0))
    assert (trained(x, 1.0) - FEW[0]).norm() < 0.2 * (x - FEW[0]).norm()


def plain_loop(network, examples, steps, rate, decay, cosine):
    """The same training written out, with torch's default Adam and the average taken weight by weight."""
    network, generator = copy.deepcopy(network), seeded(7)
    average = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99), foreach=False)
    losses = []
    for step in range(steps):
        x0 = examples[torch.randint(len(examples), (16,), generator=generator)]
        sigma = (-0.6 + 1.2 * torch.randn(16, 1, generator=generator, dtype=x0.dtype)).exp() * network.sigma_data
        x = x0 + sigma * torch.randn(16, D, generator=generator, dtype=x0.dtype)
        out = sigma[:, 0] * network.sigma_data / (sigma[:, 0] ** 2 + network.sigma_data**2).sqrt()
        loss = ((network(x, sigma[:, 0]) - x0).square().mean(1) / out**2).mean()
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 100)
        if cosine:
            optimizer.param_groups[0]["lr"] *= 0.5 + 0.5 * math.cos(math.pi * step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        share = min(decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, fresh in zip(average.parameters(), network.parameters(), strict=True):
                kept.copy_(share * kept + (1 - share) * fresh)
        losses.append(float(loss.detach()))
    return average, losses


@pytest.mark.parametrize(("schedule", "ema"), [("cosine", 0.999), ("constant", 0.9), ("constant", 0)])
def test_the_steps_are_those_of_a_loop_written_out(schedule, ema):
    network = mlp(sigma_data=0.8).double()
    average, losses = plain_loop(network, FEW.double(), 130, 0.01, ema, schedule == "cosine")
    result = fit(network, FEW.double(), steps=130, every=40, batch_size=16, learning_rate=0.01, ema=ema,
                 schedule=schedule, seed=7)  # fmt: skip
    for found, expected in zip(result.network.parameters(), average.parameters(), strict=True):
        torch.testing.assert_close(found, expected.detach(), rtol=1e-7, atol=1e-9)
    means = torch.tensor([sum(part) / len(part) for part in (losses[:40], losses[40:80], losses[80:120], losses[120:])])
    torch.testing.assert_close(result.loss, means.double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("build", [mlp, lambda: UNet((2, 4), channels=8, levels=2)], ids=["mlp", "unet"])
def test_the_loss_falls_and_the_result_is_a_denoiser(build):
    network = build()
    examples = torch.randn(3, network.dim, generator=seeded(1))
    result = fit(network, examples, steps=120, every=30, batch_size=32, learning_rate=0.01, ema=0.9)
    assert float(result.loss[-1]) < 0.8 * float(result.loss[0])
    assert type(result.network) is type(network)
    assert result.network.config == network.config
    assert not result.network.training
    assert not any(parameter.requires_grad for parameter in result.network.parameters())
    draws = sample(result.network, karras_sigmas(5, 20.0, 0.1, dtype=torch.float32), (3, network.dim))
    assert bool(draws.isfinite().all())


def test_the_network_given_is_left_as_it_is():
    network = mlp().train()
    before = copy.deepcopy(network.state_dict())
    result = short(network, held_out=OTHERS, patience=1)
    assert result.network is not network
    assert all(map(torch.equal, network.state_dict().values(), before.values()))
    assert not same(result.network, network)
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    pointers = {parameter.data_ptr() for parameter in network.parameters()}
    assert pointers.isdisjoint(parameter.data_ptr() for parameter in result.network.parameters())


def test_a_trained_network_can_be_trained_further():
    first = short().network
    second = short(first)
    assert not same(first, second.network)
    assert float(second.loss[0]) < 1


def test_models_and_their_gradients_stay():
    examples, held_out = FEW.clone().requires_grad_(), OTHERS.clone()
    short(examples=examples, held_out=held_out)
    assert torch.equal(examples.detach(), FEW)
    assert torch.equal(held_out, OTHERS)
    assert examples.grad is None


def test_seed_fixes_the_weights_and_the_global_generator_stays():
    before = torch.get_rng_state()
    first, second, other = (short(seed=seed, held_out=OTHERS) for seed in (3, 3, 4))
    assert same(first.network, second.network)
    assert torch.equal(first.loss, second.loss)
    assert torch.equal(first.held_out_loss, second.held_out_loss)
    assert not same(first.network, other.network)
    assert torch.equal(torch.get_rng_state(), before)


def test_held_out_models_and_entries_change_nothing_in_the_training():
    plain = short()
    assert same(plain.network, short(held_out=OTHERS).network)
    assert same(plain.network, short(every=7).network)
    assert same(plain.network, short(every=1000, callback=lambda report: None).network)
    assert not same(plain.network, short(batch_size=17).network)


def test_gradients_switched_off_by_the_caller_do_not_matter():
    expected = short().network
    with torch.no_grad():
        assert same(short().network, expected)
    with torch.inference_mode():
        found = short(mlp(), FEW.clone()).network
    assert same(found, expected)
    assert not any(parameter.is_inference() for parameter in found.parameters())


def test_history_has_an_entry_every_so_many_steps_and_one_at_the_end():
    result = short(steps=50, held_out=OTHERS)
    assert result.steps.tolist() == [20, 40, 50]
    assert result.loss.shape == result.held_out_loss.shape == (3,)
    assert result.loss.dtype == result.held_out_loss.dtype == torch.float64
    assert result.best_step == result.steps[result.held_out_loss.argmin()]
    without = short(steps=50)
    assert bool(without.held_out_loss.isnan().all())
    assert without.best_step == 50
    assert short(steps=3, every=100).steps.tolist() == [3]
    assert short(steps=torch.tensor(4), every=torch.tensor(2), batch_size=np.int64(3)).steps.tolist() == [2, 4]


def mean_loss(network, held_out, batch_size=16, seed=0):
    draws = held_out_draws(held_out, (-0.6, 1.2), {"batch_size": batch_size, "seed": seed})
    with torch.no_grad():
        return sum(float(network.loss(*batch).mean()) for batch in draws) / len(draws)


def test_patience_stops_early_and_returns_the_best_weights():
    reports = []
    options = {"held_out": OTHERS, "steps": 2000, "schedule": "constant", "learning_rate": 0.02, "ema": 0.9}
    result = short(mlp(32), FEW[:2], patience=3, callback=reports.append, **options)
    best = int(result.held_out_loss.argmin())
    assert len(result.steps) == best + 1 + 3
    assert result.steps[-1] < 1000
    assert result.best_step == result.steps[best]
    assert mean_loss(result.network, OTHERS) == float(result.held_out_loss[best])
    assert same(result.network, reports[best]["network"])
    last = short(mlp(32), FEW[:2], **{**options, "steps": int(result.steps[-1])})
    assert mean_loss(last.network, OTHERS) == float(result.held_out_loss[-1]) > float(result.held_out_loss[best])
    assert last.best_step == result.best_step  # it is reported either way


def test_callback_sees_every_entry_and_ends_the_training_with_true():
    reports = []
    result = short(held_out=OTHERS, callback=reports.append)
    assert [set(report) for report in reports] == [{"step", "loss", "held_out_loss", "network"}] * 3
    assert [report["step"] for report in reports] == result.steps.tolist()
    assert [report["loss"] for report in reports] == result.loss.tolist()
    assert [report["held_out_loss"] for report in reports] == result.held_out_loss.tolist()
    assert same(reports[-1]["network"], result.network)
    assert not same(reports[0]["network"], result.network)
    for true in (True, np.bool_(True), torch.tensor(True)):
        assert short(callback=lambda report, true=true: true).steps.tolist() == [20]
    for other in (None, False, 1, "stop", np.array([True, True]), torch.tensor(1.0)):
        assert len(short(callback=lambda report, other=other: other).steps) == 3


def test_what_a_callback_does_to_its_network_stays_there():
    def spoil(report):
        report["network"].double().requires_grad_(True)
        with torch.no_grad():
            report["network"].enter.weight.fill_(math.nan)
        torch.manual_seed(0)

    assert same(short(callback=spoil).network, short().network)


def test_held_out_models_are_drawn_evenly():
    settings = {"batch_size": 16, "seed": 0}
    for size in (1, 3, 100, 128, 200, 5000):  # of more models than draws, not only the first
        held_out = torch.arange(float(size))[:, None].expand(size, D)
        draws = held_out_draws(held_out, (0.0, 1.0), settings)
        assert [batch[0].shape for batch in draws] == [(16, D)] * 8
        counts = torch.bincount(torch.cat([batch[0][:, 0] for batch in draws]).long(), minlength=size)
        assert int(counts.max() - counts.min()) <= 1
        assert float(torch.cat([batch[0] for batch in draws]).mean()) == pytest.approx((size - 1) / 2, rel=0.02)
    sigma = torch.cat([batch[1] for batch in held_out_draws(OTHERS, (0.5, 1.2), {"batch_size": 500, "seed": 0})])
    assert float(sigma.log().mean()) == pytest.approx(0.5, abs=0.1)
    assert float(sigma.log().std()) == pytest.approx(1.2, rel=0.05)


def test_draws_are_examples_lognormal_levels_and_normal_noise():
    x0, sigma, noise = draw(FEW, 5000, (-0.6, 1.2), seeded(0))
    assert x0.shape == noise.shape == (5000, D)
    assert sigma.shape == (5000, 1)
    shares = torch.bincount(torch.cdist(x0, FEW).argmin(1)) / 5000
    assert float((shares - 0.2).abs().max()) < 0.02
    assert float(sigma.log().mean()) == pytest.approx(-0.6, abs=0.06)
    assert float(sigma.log().std()) == pytest.approx(1.2, rel=0.03)
    assert float(noise.std()) == pytest.approx(1, rel=0.02)


def test_levels_scale_with_the_data():
    """Data and network in other units train alike: nothing but sigma_data knows the unit."""
    plain = short(mlp().double(), FEW.double(), held_out=OTHERS.double())
    scaled = short(mlp(sigma_data=400.0).double(), 400 * FEW.double(), held_out=400 * OTHERS.double())
    torch.testing.assert_close(scaled.held_out_loss, plain.held_out_loss, rtol=0.05, atol=0)
    x = torch.randn(20, D, generator=seeded(0), dtype=torch.float64)
    assert (scaled.network(400 * x, 400.0) / 400 - plain.network(x, 1.0)).norm() < 0.1 * plain.network(x, 1.0).norm()
