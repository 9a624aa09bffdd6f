"""Passwords in URLs: not in an error, not in a log, not in a manifest, not in a name of a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dnalm.download.addresses import address_of
from dnalm.errors import InputError
from dnalm.jobs.credentials import hide_passwords

SCRIPTS = Path(__file__).parents[3] / "scripts"
SECRETS = {
    "http://user:hidden@h.org/x.fa.gz": "http://h.org/x.fa.gz",
    "https://hidden@h.org:8080/x": "https://h.org:8080/x",
    "https://user:hid@den@h.org/x": "https://h.org/x",
    "https://user:hid/den@h.org/x": "https://h.org/x",
    "https://user:hid#den@h.org/x": "https://h.org/x",
    "https://h.org/x?token=hidden&f=1": "https://h.org/x?token=***&f=1",
    "https://h.org/x?f=1&X-Amz-Signature=hidden": "https://h.org/x?f=1&X-Amz-Signature=***",
    "Invalid credentials: Bearer hiddenhidden": "Invalid credentials: Bearer ***",
    "the token hf_hiddenHIDDENhiddenHIDDEN1234 is none": "the token *** is none",
    "two: http://a:hidden@b/c, ftp://d:hidden@e/f": "two: http://b/c, ftp://e/f",
}
PLAIN = [
    "http://h.org:8080/a@b",
    "https://h.org/get?file=x@y&monkey=1",
    "hf_transfer and hf_xet are no tokens, nor is a bearer",
    "ask a@b.org of http://h.org/x or me:you@h.org",
]
JOB = """
import logging, sys
from dnalm.errors import InputError
from dnalm.jobs.job import job
with job(sys.argv[1]):
    logging.info("asking %s", "http://user:hidden@h.org/x")
    try:
        raise OSError("http://user:hidden@h.org/y")
    except OSError:
        logging.exception("it failed")
    raise InputError("http://user:hidden@h.org/z is no file; correct it.")
"""


@pytest.mark.parametrize("text", SECRETS)
def test_users_passwords_and_tokens_are_taken_out_of_urls(text):
    assert hide_passwords(text) == SECRETS[text]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_is_left(text):
    assert hide_passwords(text) == text


@pytest.mark.parametrize("url", [url for url in SECRETS if url.startswith("http")])
def test_no_secret_is_part_of_an_error_or_of_the_place_of_a_file(url):
    try:
        shown = address_of(url)
    except InputError as error:  # a password that is not quoted as URLs ask for
        shown = str(error)
    assert "hid" not in shown
    assert "den" not in shown.replace("hidden", "")


def test_the_log_and_the_last_words_of_a_job_hold_no_password(tmp_path):
    log = tmp_path / "job.log"
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(log)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Error: http://h.org/z is no file; correct it.\n"
    written = log.read_text()
    assert "hidden" not in written
    for path in ("x", "y", "z"):
        assert f"http://h.org/{path}" in written


def test_the_manifest_of_a_genome_says_where_it_came_from_without_the_password(store):
    folder = store("g", {"c": "ACGT" * 10}, url="https://user:hidden@h.org/g.fa")
    text = (folder / "manifest.json").read_text()
    assert "hidden" not in text
    assert json.loads(text)["source"] == "https://h.org/g.fa"
