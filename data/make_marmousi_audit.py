"""Make data/marmousi_audit.npz: what an audit says of networks trained on a few slices of a published model.

    python data/make_marmousi_audit.py FILE [--side 32] [--folds 4]

FILE holds velocity models (20 slices of the Marmousi model in the file that was made); they are not copied. Run from
the root of the repository; five minutes on one core. Each fold holds a share of the models out, trains one network for
long and one until its held-out loss rises, audits both, and looks each held-out model up among the others by its waves.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from _provenance import commit, device_name
from tqdm import tqdm

from lib.adapters import denoiser_in_units
from lib.audit import audit_prior
from lib.network import ResidualMLP, fit
from lib.own_models import matching_scale
from lib.scale import DATA, scale
from lib.seismic import AcousticForward, add_noise
from lib.velocity import load_velocity_models, resample

SEED, STEPS, SPACING, NOISE = 0, 1500, 25.0, 0.3


def seeded(seed=SEED):
    """A fresh random stream."""
    return torch.Generator().manual_seed(seed)


def trained(examples, held_out):
    """Denoisers in m/s after long training and after early stopping, with the losses and the step of the stop."""
    centre = examples.mean(0)
    spread = float((examples - centre).square().mean().sqrt())
    z, z_held_out = ((models - centre).flatten(1) / spread for models in (examples, held_out))
    options = {"batch_size": 64, "held_out": z_held_out, "every": 25, "seed": SEED}
    for name, more in (("long", {}), ("early", {"patience": 8})):
        network = ResidualMLP(z.shape[1], width=256, seed=SEED)
        found = fit(network, z, steps=STEPS, **options, **more)
        inside = found.network
        denoise = denoiser_in_units(lambda x, sigma, d=inside: d(x.flatten(1), sigma).view_as(x), centre, spread)
        yield name, denoise, found


def audited(examples, held_out):
    """Numbers of the audits of both networks."""
    made = {}
    for name, denoise, found in trained(examples, held_out):
        report = audit_prior(examples, denoiser=denoise, held_out=held_out, generator=seeded())
        strict = next(rate for rate in report.rates if rate.rule == "d1/d2")
        made |= {
            f"verdict_{name}": report.verdict,
            f"rate_{name}": strict.rate,
            f"null_{name}": strict.null_rate,
            f"interval_{name}": strict.interval,
            f"q_{name}": np.divide(report.gap.loss_training, report.gap.loss_held_out).min(),
            f"nats_{name}": report.gap.nats,
            f"nats_error_{name}": report.gap.nats_error,
            f"step_{name}": found.best_step if name == "early" else STEPS,
            f"loss_{name}": found.held_out_loss.min() if name == "early" else found.held_out_loss[-1],
        }
    return made | {"duplicates": report.duplicates.exact + report.duplicates.near}


def looked_up(examples, held_out, waves):
    """Lookup of each held-out model among the examples, from its own noisy waves."""
    rows = []
    for k, truth in enumerate(held_out):
        clean = waves(truth[None])[0]
        noise_std = NOISE * float(clean.std())
        d_obs = add_noise(clean, noise_std, generator=seeded(k))
        report = audit_prior(examples, samples=held_out, forward=waves, d_obs=d_obs, noise_std=noise_std)
        found = report.lookup
        best = examples[found.top]
        misfit = float(((waves(best[None])[0] - d_obs) / noise_std).square().mean())
        error = float((best - truth).square().mean().sqrt())
        closest = float((examples - truth).square().mean((1, 2)).sqrt().min())
        rows.append([found.effective_size, found.top_weight, found.log_evidence_lost, misfit, error, closest])
    return np.array(rows)


def main():
    """Run all folds, then write one small file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="velocity models, see load_velocity_models")
    parser.add_argument("--side", type=int, default=32, help="cells a side after averaging")
    parser.add_argument("--folds", type=int, default=4)
    options = parser.parse_args()
    made_at = commit(__file__)
    stored = load_velocity_models(options.file)
    models = resample(stored, (options.side, options.side))
    models = models[torch.randperm(len(models), generator=seeded())]
    survey = matching_scale(scale(), models, SPACING)
    waves = AcousticForward(survey.acquisition())
    parts = []
    for held_out in tqdm(models.chunk(options.folds), desc="folds", unit="fold"):
        examples = torch.stack([m for m in models if not any(torch.equal(m, other) for other in held_out)])
        parts.append(audited(examples, held_out) | {"lookup": looked_up(examples, held_out, waves)})
    folds = {key: np.array([part[key] for part in parts]) for key in parts[0]}
    made = {
        "num_models": len(models), "side": options.side, "shape": np.array(stored.shape[1:]),
        "peak_freq": survey.peak_freq, "spacing": SPACING, "noise_to_signal": NOISE, "seed": SEED, "commit": made_at,
        "device": device_name(torch.device("cpu")),
        "command": f"python data/make_marmousi_audit.py {options.file.name}",
    }  # fmt: skip
    np.savez_compressed(DATA / "marmousi_audit.npz", **folds, **made)
    print({key: value.tolist() for key, value in folds.items()})


if __name__ == "__main__":
    main()
