"""PixelCNN on data whose truth is known, and on digits with their labels."""

import torch

import plausibly


def test_it_comes_near_the_truth_in_colour(tmp_path):
    """Over the same rows it knows of patterns, pairs of colours and channels what independent cells do not."""
    settings = {"channels": 32, "layers": 1, "train.rate": 0.02}
    fits = {"pixelcnn": {"steps": 200, "set": settings}, "independent": {}}
    gaps = {}
    for name, wanted in fits.items():
        run = plausibly.fit("toy-tints", name, out=tmp_path / name, **wanted)
        dataset = run.dataset()
        x = dataset.test.codes.float()
        with torch.no_grad():
            gaps[name] = dataset.truth.log_prob(x) - run.model.log_prob(x).double()
    assert gaps["independent"].mean() > 4 * gaps["pixelcnn"].mean() > 0


def test_a_label_is_context_and_is_told_by_bayes_rule(tmp_path):
    settings = {"channels": 16, "layers": 1, "train.rate": 0.02}
    run = plausibly.fit(
        "digits-binary",
        "pixelcnn",
        steps=100,
        set=settings,
        context=["label"],
        out=tmp_path / "run",
    )
    assert run.model.context == (0,) and run.sample(3).shape == (3, 65)
    assert run.classify("digits-binary:test", "label").to_json()["accuracy"] > 0.3


def test_orders_of_one_image_are_mixed(tmp_path):
    """The eight symmetries are arguments, and their runs an ensemble."""
    runs = [
        plausibly.fit(
            "toy-bars",
            "pixelcnn",
            steps=40,
            set={"channels": 8, "layers": 1, "symmetry": symmetry},
            out=tmp_path / str(symmetry),
        )
        for symmetry in (0, 3)
    ]
    mixed = plausibly.ensemble(runs, out=tmp_path / "mixed")
    best = max(run.record.validation for run in runs)
    assert runs[0].model.order != runs[1].model.order and mixed.record.validation > best
