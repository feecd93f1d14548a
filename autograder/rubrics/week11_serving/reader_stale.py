"""Situations in which a cache answers what is no longer true (lab 11-05). Each gives what was stale in it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from autograder.rubrics.week11_serving.reader_load import BINARY, JSON, Pages, ask, close
from autograder.served import Served
from labkit.errors import WorkFault
from labkit.models import models_folder


def other_images(server: Served, pages: Pages) -> list[str]:
    """Other images under one id, and images that are alike: in sum, in one half, in all but a point."""
    wanted, stale = pages.scores["1"], []
    ids = 0
    for row in range(180, 188):
        ids += close(ask(server, pages.images[row][None], JSON, id="camera-1").scores, wanted[row][None])
    if ids < 8:
        stale.append("another image under the same id got the scores of the one before")
    base, other = pages.images[190], pages.images[191]
    lower_half, one_point = base.copy(), base.copy()
    lower_half[392:] = other[392:]
    one_point[400] = 255 - one_point[400]
    alike = {
        "its grey levels in another order": np.roll(base, 84),
        "another lower half": lower_half,
        "one point changed": one_point,
    }
    first = ask(server, base[None]).scores
    same = [what for what, image in alike.items() if close(ask(server, image[None]).scores, first)]
    if same:
        stale.append(f"an image that only looks like another got its scores ({', '.join(same)})")
    return stale


def after_a_switch(server: Served, pages: Pages) -> list[str]:
    """Version 2 is asked what version 1 has answered; then for a version that is not there."""
    part, stale = slice(160, 168), []
    ask(server, pages.images[part])
    switch(server, "2")
    for kind in (BINARY, JSON):
        given = ask(server, pages.images[part], kind).scores
        if close(given, pages.scores["2"][part]) < 8:
            what = "version 1's scores" if close(given, pages.scores["1"][part]) else "wrong scores"
            stale = [f"after the switch to version 2 came {what}"]
    status = server.request("PUT", "/model", b'{"version": "9"}', {"content-type": JSON}).status
    active = server.get("/model").json()
    if not 400 <= status < 500 or active != {"version": "2"}:
        stale.append(f"PUT of a version that is not there answered {status}, GET then {active}")
    return stale


def switched_meanwhile(server: Served, pages: Pages) -> list[str]:
    """Version 2 comes while version 1 is still working on a request; then the same images are asked again."""
    switch(server, "1")
    # Moved by another distance each time: nobody has computed these before.
    images = np.roll(pages.images[300:812], 1 + time.monotonic_ns() % 700, axis=1)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(ask, server, images)
        time.sleep(0.05)
        switch(server, "2")
        working.result()
    asked = images[::16]
    wrong = len(asked) - close(ask(server, asked).scores, _scores_of("2", asked))
    said = f"{wrong} of {len(asked)} images that version 1 was working on got its scores as version 2's"
    return [said] if wrong else []


def switch(server: Served, version: str) -> None:
    """Make a version the active one.

    Raises:
        WorkFault: The server does not do it.
    """
    body = json.dumps({"version": version}).encode()
    status = server.request("PUT", "/model", body, {"content-type": JSON}).status
    if status not in (200, 204):
        raise WorkFault(f"PUT /model with version {version} answered {status}.")


def _scores_of(version: str, images: np.ndarray) -> np.ndarray:
    """That version's scores of images that no reference has, computed here."""
    import onnxruntime

    path = str(models_folder() / "reader" / f"model-{version}.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    scores: np.ndarray = session.run(None, {"images": images.astype(np.float32)})[0]
    return scores
