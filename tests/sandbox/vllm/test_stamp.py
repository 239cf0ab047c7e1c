"""A folder made from other parts, or left half-made, is made again; a finished one is not."""

from gateway.sandbox.vllm import stamp


def test_a_marked_folder_is_current(tmp_path):
    made_from = stamp.fingerprint("lock", "plugin")
    stamp.mark(tmp_path, made_from)
    assert stamp.is_current(tmp_path, made_from)


def test_a_folder_without_a_mark_is_not_current(tmp_path):
    assert not stamp.is_current(tmp_path, stamp.fingerprint("lock"))
    assert not stamp.is_current(tmp_path / "missing", stamp.fingerprint("lock"))


def test_a_folder_made_from_something_else_is_not_current(tmp_path):
    stamp.mark(tmp_path, stamp.fingerprint("lock"))
    assert not stamp.is_current(tmp_path, stamp.fingerprint("another lock"))


def test_a_damaged_mark_is_not_current(tmp_path):
    made_from = stamp.fingerprint("lock")
    stamp.mark(tmp_path, made_from)
    (mark,) = tmp_path.iterdir()
    mark.write_text(mark.read_text()[:10])
    assert not stamp.is_current(tmp_path, made_from)


def test_a_file_counts_by_its_content(tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("torch==1")
    before = stamp.fingerprint(lock)
    lock.write_text("torch==2")
    assert stamp.fingerprint(lock) != before
    assert stamp.fingerprint(lock) == stamp.fingerprint("torch==2")


def test_parts_do_not_run_into_each_other():
    assert stamp.fingerprint("ab", "c") != stamp.fingerprint("a", "bc")
