"""Reading Dockerfiles: the bases that they name."""

from __future__ import annotations

import pytest

from labkit.engines.dockerfile import Dockerfile
from labkit.errors import WorkFault

D = "sha256:" + "0123456789abcdef" * 4


def test_bases_of_all_stages_but_not_stages_themselves():
    text = f"""\
# a comment
ARG VERSION=3.11
FROM --platform=linux/amd64 docker.io/library/python:${{VERSION}} AS builder
RUN echo one \\
    two
FROM scratch AS nothing
FROM builder AS tests
FROM registry.test:5000/team/base@{D}
FROM ubuntu
"""
    found = Dockerfile(text).bases
    assert [(base.line, base.stage, base.tagged, base.digest) for base in found] == [
        (3, "builder", "python:3.11", ""),
        (8, "3", "registry.test:5000/team/base:latest", D),
        (9, "4", "ubuntu:latest", ""),
    ]
    assert [base.tag for base in found] == ["3.11", "", ""]


def test_bases_are_replaced_and_nothing_else_is():
    text = f"FROM python:3.11@{D} AS builder\nRUN true\nFROM --platform=linux/amd64 python:3.11-slim\n"
    assert Dockerfile(text).with_bases(lambda base: f"ours/{base.tagged}") == (
        "FROM ours/python:3.11 AS builder\nRUN true\nFROM --platform=linux/amd64 ours/python:3.11-slim\n"
    )


def test_an_empty_file_has_no_bases():
    assert Dockerfile("# nothing yet\n").bases == []


def test_what_names_no_image_is_said_with_its_line():
    with pytest.raises(WorkFault, match="Line 2 of the Dockerfile names no image: python@sha512:12"):
        _ = Dockerfile("\nFROM python@sha512:12\n").bases
