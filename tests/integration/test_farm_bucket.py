"""A farm whose portraits, voices and videos are in a bucket: an S3-compatible server over HTTP."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")
pytest.importorskip("aiohttp")

from sonic_guard.errors import FarmError, OutputError
from sonic_guard.park import content
from sonic_guard.park.files import FileStore, key_of
from sonic_guard.park.job_file import read_job_file
from tests.support import s3_server
from tests.support.farm_chaos import Setup, calm, write_jobs
from tests.support.graphs import write_wav
from tests.support.installed import PACK

BUCKET = "sonic-guard-farm"
FAKE = PACK / "tests" / "support" / "fake_comfyui"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3") / "server.log") as variables:
        yield variables


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    """The location of a prefix of its own; the server is found by the environment, as users have it."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(content.HOME, str(tmp_path / "home"))
    files = s3()
    if not files.exists(BUCKET):
        files.mkdir(BUCKET)
    return f"s3://{BUCKET}/{tmp_path.name}"


def s3():
    import s3fs

    return s3fs.S3FileSystem(use_listings_cache=False)


def names(location):
    """Of the files with names for people, with the SHA-256 of each."""
    files = s3()
    found = [each for each in files.find(location) if "/.sonic-guard/" not in each]
    return {each.rpartition("/")[2]: hashlib.sha256(files.cat_file(each)).hexdigest() for each in found}


def videos(location):
    return {name: digest for name, digest in names(location).items() if name.endswith(".mp4")}


def farm(*arguments, environment):
    command = [sys.executable, "-m", "sonic_guard", "farm", *map(str, arguments)]
    done = subprocess.run(command, cwd=PACK, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_farm_in_a_bucket_is_that_in_a_folder(bucket, tmp_path):
    """The same videos; made once, also for a client on another machine that has nothing but the bucket."""
    made = Setup(tmp_path, FAKE, Path(sys.executable), 2, call_s=0.0)
    write_jobs(made, 3, (0.6, 1.0))
    wanted, _, _ = calm(made)
    inputs = made.jobs.parent
    header, *rows = made.jobs.read_text().splitlines()
    url = f"{bucket}/in"
    for file in ("portrait.jpg", "0.wav", "1.wav"):  # 2.wav stays beside the job file
        s3().put_file(str(inputs / file), f"{url}/{file}")
        (inputs / file).unlink()
    rows[1] = rows[1].replace("1.wav", f"{url}/1.wav")
    made.jobs.write_text("\n".join([header, *rows]) + "\n")

    passes, location = tmp_path / "passes", f"{bucket}/out"
    where = ["--comfyui", FAKE, "--comfyui-python", sys.executable, "--cpu-servers", "2"]
    run = ["run", made.jobs, "--out", location, "--root", url, *where]
    for machine in ("one", "two"):
        home = tmp_path / machine
        environment = made.environment(tmp_path / "out") | {content.HOME: str(home), "FARM_PASSES": str(passes)}
        farm(*run, environment=environment)
        assert videos(location) == wanted
        assert passes.stat().st_size == 3
        farm("status", location, environment=environment)
    copies = {each.stem for each in (tmp_path / "one" / "inputs").glob("*.*")}
    assert hashlib.sha256((inputs / "2.wav").read_bytes()).hexdigest() in copies, "by content"
    assert {"farm-report.html", "farm-report.json"} <= names(location).keys()
    assert not (PACK / "s3:").exists()


def test_parts_and_finished_videos_are_in_the_bucket_too(bucket, tmp_path):
    """A long voice on two servers, joined by a worker that has the parts from the bucket; a short one finished."""
    made = Setup(tmp_path, FAKE, Path(sys.executable), 2, call_s=0.0)
    write_jobs(made, 2, (2.0, 2.0))
    write_wav(made.jobs.parent / "0.wav", 150.0)
    header, *rows = made.jobs.read_text().splitlines()
    ends = ["finish", "none", "fast"]
    made.jobs.write_text("".join(f"{row},{end}\n" for row, end in zip([header, *rows], ends, strict=True)))
    out = f"{bucket}/out"
    where = ["--comfyui", FAKE, "--comfyui-python", sys.executable, "--cpu-servers", "2"]
    environment = made.environment(tmp_path / "out") | {content.HOME: str(tmp_path / "home")}
    farm("run", made.jobs, "--out", out, *where, environment=environment)
    report = json.loads(s3().cat_file(f"{out}/farm-report.json"))
    steps = {each["names"][0]: [step["kind"] for step in each["steps"]] for each in report["videos"]}
    assert steps == {"video 0": ["part", "part", "join"], "video 1": ["video", "finish"]}
    assert videos(out).keys() == {"video 0.mp4", "video 1.mp4"}
    assert not [each for each in s3().find(out) if each.endswith(".zip")], "parts are not kept"


def test_a_workers_copy_is_by_content_and_fetched_once(bucket, tmp_path, monkeypatch):
    path = tmp_path / "voice.WAV"
    write_wav(path, 0.5)
    digest = content.file_digest(path)
    name = content.share_input(bucket, path)
    assert name == f"{digest}.wav"
    monkeypatch.setenv(content.HOME, str(tmp_path / "worker"))
    copy = content.input_file(bucket, Path("/of/another/machine/voice.WAV"), digest)
    assert copy == content.input_path(name)
    assert copy.read_bytes() == path.read_bytes()
    s3().rm_file(f"{bucket}/{key_of(digest, '.wav', 'inputs')}")
    assert content.input_file(bucket, path, digest) == copy


def test_what_is_there_by_its_content_is_kept(bucket, tmp_path):
    def keep(task):
        temp = content.objects_folder(bucket) / f".{task}.part"
        temp.write_bytes(b"video")
        digest = content.file_digest(temp)
        content.keep(bucket, temp, task, digest, 5, ".mp4")
        assert not temp.exists()
        return digest

    digest = keep("one")
    address = f"{bucket}/{key_of(digest, '.mp4')}"
    before = s3().info(address)["LastModified"]
    assert keep("two") == digest
    assert s3().info(address)["LastModified"] == before
    assert content.made_before(bucket, "two", ".mp4") == (digest, 5)
    for _ in range(2):
        content.publish(bucket, "name", digest, ".mp4")
    s3().pipe_file(f"{bucket}/name.mp4", b"other")
    with pytest.raises(OutputError, match="name of another file"):
        content.publish(bucket, "name", digest, ".mp4")


def test_a_copy_in_a_folder_farm_is_where_all_machines_see_it(bucket, tmp_path):
    """Portraits in a bucket, videos in a shared folder: workers elsewhere do not see this machine's copies."""
    s3().pipe_file(f"{bucket}/p.png", b"picture")
    write_wav(tmp_path / "v.wav", 0.5)
    jobs = tmp_path / "jobs.csv"
    jobs.write_text("image,audio\np.png,v.wav\n")
    (job,) = read_job_file(jobs, [bucket])
    assert (job.name, job.image.read_bytes()) == ("p v", b"picture")
    out = tmp_path / "out"
    assert content.share_input(out, job.image) == str(out / key_of(job.image_digest, ".png", "inputs"))
    assert content.share_input(out, job.audio) == str(tmp_path / "v.wav")
    s3().pipe_file(f"{bucket}/p.png", b"another")
    (again,) = read_job_file(jobs, [bucket])
    assert again.image.read_bytes() == b"another"


@pytest.mark.parametrize(
    "name",
    ["{bucket}/../{other}/p.png", "{bucket}x/p.png", "s3://elsewhere/p.png", "S3://{bucket}/p.png", "{bucket}/",
     "../p.png",
     "https://s3.amazonaws.com/b/p.png"],
)  # fmt: skip
def test_a_job_names_nothing_outside_of_the_prefix(name, bucket, tmp_path):
    s3().pipe_file(f"{bucket}/in/p.png", b"picture")
    s3().pipe_file(f"{bucket}/p.png", b"secret")
    write_wav(tmp_path / "v.wav", 0.5)
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(f"image,audio\n{name.format(bucket=f'{bucket}/in', other=BUCKET)},v.wav\n")
    with pytest.raises(FarmError, match="line 2: image: "):
        read_job_file(jobs, [f"{bucket}/in"])


def test_a_bucket_that_does_not_answer_is_no_fault_of_the_job(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(OutputError, match=f"files: cannot use .sonic-guard/try in {bucket}: ") as caught:
        content.try_outputs(bucket)
    assert not any(secret in caught.value.text for secret in s3_server.KEYS.values())
    assert not content.has_arrived(bucket, "0" * 64, 5, ".mp4")
    s3fs.S3FileSystem.clear_instance_cache()


def test_the_names_of_a_farm_in_a_bucket_have_no_keys():
    with pytest.raises(FarmError, match="do not belong into an address"):
        FileStore("s3://KEY:SECRET@bucket/out")
