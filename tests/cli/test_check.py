"""`relay check`: what it says of good, doubtful, failing and broken files, and how it ends."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.certificates import Pair
from tests.cli.conftest import OFFER, ROUTES, SECRETS, Run, event_of, on_terminal, plain

UNUSED = ROUTES.replace("routes:\n", "  spare:\n    url: https://spare.example/\nroutes:\n", 1)
FAILING = ROUTES.replace("expect: {targets: [sales-bot, warehouse]}", "expect: {targets: sales-bot}")


def test_a_good_file_is_summed_up_in_one_line(run: Run) -> None:
    ended = run("check")
    assert ended.exit_code == 0
    assert ended.stdout == ("routes.yaml: good: 1 source, 2 targets, 3 routes, 0 warnings, 1 of 1 test passed\n")


def test_the_file_may_be_named_with_or_without_a_flag(run: Run, folder: Path) -> None:
    (folder / "other.yaml").write_text(ROUTES)
    assert run("check", "other.yaml").stdout == run("check", "-c", "other.yaml").stdout
    assert run("check", "other.yaml").stdout.startswith("other.yaml: good")


def test_every_error_has_its_line_and_column(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(
        ROUTES.replace("to: sales-bot", "to: sales-bott").replace("version: 1", "version: 2")
    )
    ended = run("check")
    lines = ended.stdout.splitlines()
    assert ended.exit_code == 1
    assert lines[0].startswith("routes.yaml:1:")
    assert lines[3].startswith("routes.yaml:18:5  routes[1].to: no target 'sales-bott'")
    assert lines[-1] == "routes.yaml: 2 errors"


def test_each_problem_shows_its_line_with_a_caret_under_the_place(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(
        ROUTES.replace(
            "to: [sales-bot, warehouse]\n  - name: talks", "to: [sales-bot, warehose]\n  - name: talks"
        ).replace("    secret: ${DWH_SECRET}\n", "    secret: canary-hunter2  # canary\n    tmeout: 5s\n")
    )
    base64 = "must be base64, with or without whsec_ in front (make one with: openssl rand -base64 32)"
    ended = run("check")
    assert ended.stdout.splitlines() == [
        f"routes.yaml:11:5  targets.warehouse.secret: {base64}",
        "   11 |     secret: ***",
        "      |     ^",
        "routes.yaml:12:5  targets.warehouse.tmeout: unknown key 'tmeout' (did you mean 'timeout'?)",
        "   12 |     tmeout: ***",
        "      |     ^",
        "routes.yaml:16:21  routes[0].to[1]: no target 'warehose' (did you mean 'warehouse'?)",
        "   16 |     to: [sales-bot, warehose]",
        "      |                     ^",
        "routes.yaml: 3 errors",
    ]


def test_a_warning_shows_its_line_too_and_a_long_one_is_cut(run: Run, folder: Path) -> None:
    many = ", ".join(f"x{number}" for number in range(100))
    (folder / "routes.yaml").write_text(
        ROUTES.replace("action: [call_in, mail_in]}", f"name: [Имя, {many}], pipelin: 7}}")
    )
    warning, line, caret, _ = run("check").stdout.splitlines()
    assert "warning routes[1].match.pipelin: amoCRM is not known" in warning
    assert line.startswith("   17 | ")
    assert line.endswith(", pipelin: 7}")
    assert line.index("pipelin") == caret.index("^")
    assert len(line) < 120
    assert json.loads(run("check", "--json").stdout)["warnings"][0]["line"] == 17


def test_a_dash_reads_standard_input(run: Run, folder: Path) -> None:
    ended = run("check", "-", stdin=ROUTES.encode())
    assert (ended.exit_code, ended.stdout.split(":")[0]) == (0, "<stdin>")
    assert run("check", "-", "--json", stdin=b"").exit_code == 1
    broken = run("check", "-", stdin=ROUTES.replace("to: sales-bot", "to sales-bot").encode())
    assert broken.stdout.splitlines()[:3] == [
        "<stdin>:18:5  a key without ':'",
        "   18 |     to sales-bot",
        "      |     ^",
    ]
    assert run("check", "--diff", "-", "-", stdin=b"").exit_code == 2


def test_without_secrets_the_rest_is_checked(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)
    text = ROUTES.replace("${CRM_TOKEN}", '["${CRM_TOKEN}", "${file:/run/secrets/none}"]').replace(
        "    secret: ${DWH_SECRET}\n",
        '    secret: ["${DWH_SECRET}", "${OTHER}"]\n    tls: {ca: /none/ca.pem, cert: /none/c.pem, key: "${KEY}"}\n',
    )
    (folder / "routes.yaml").write_text(text)
    assert run("check").exit_code == 1
    ended = run("check", "--no-secrets", "--strict")
    assert (ended.exit_code, ended.stdout) == (
        0,
        "routes.yaml: good: 1 source, 2 targets, 3 routes, 0 warnings, 1 of 1 test passed\n",
    )
    (folder / "routes.yaml").write_text(
        text.replace("16203337}\n    to", '"${STAGE}"}\n    to').replace("https", "htps", 1)
    )
    lines = run("check", "--no-secrets").stdout.splitlines()
    assert [
        line.split("  ")[1].split(":")[0] for line in lines if line.startswith("routes.yaml:") and "  " in line
    ] == [
        "targets.sales-bot.url",
        "routes[0].match.status_id",
    ]


def test_a_proxy_of_the_environment_that_no_target_has_is_noted_and_fails_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://u:canary@proxy.example:3128")
    ended = run("check", "--strict")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[0] == (
        "routes.yaml: note HTTPS_PROXY is not used: targets go through the proxy that the routes file names "
        "(defaults: {proxy: …}), and it names none"
    )
    [note] = json.loads(run("check", "--json").stdout)["notes"]
    assert note.startswith("HTTPS_PROXY is not used")
    (folder / "routes.yaml").write_text(ROUTES.replace("targets:", "defaults: {proxy: '${HTTPS_PROXY}'}\ntargets:", 1))
    assert run("check", "--strict").stdout == run("check").stdout
    assert json.loads(run("check", "--json").stdout)["notes"] == []


def test_a_missing_file_is_an_error(run: Run) -> None:
    ended = run("check", "nowhere.yaml")
    advice = "write one with relay init, or name another with --config"
    assert (ended.exit_code, ended.stdout.splitlines()[0]) == (1, f"nowhere.yaml: no such file: {advice}")


def test_warnings_alone_are_good_unless_strict(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(UNUSED)
    ended, strict = run("check"), run("check", "--strict")
    assert (ended.exit_code, strict.exit_code) == (0, 1)
    assert "warning targets.spare: no route names it" in ended.stdout
    assert ": good: " in ended.stdout
    assert ": not good: " in strict.stdout


def test_a_failed_test_says_what_differs(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(FAILING)
    ended = run("check")
    assert ended.exit_code == 1
    assert "failed 'an offer reaches both': targets: expected sales-bot, got sales-bot, warehouse" in ended.stdout
    assert "0 of 1 test passed" in ended.stdout


def test_as_json_all_of_it_is_one_document(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(
        UNUSED.replace("expect: {targets: [sales-bot, warehouse]}", "expect: {targets: []}")
    )
    document = json.loads(run("check", "--json").stdout)
    assert (document["good"], document["errors"]) == (False, [])
    assert document["warnings"][0]["path"] == "targets.spare"
    assert [test["passed"] for test in document["tests"]] == [False]


def test_errors_as_json_have_their_places(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("to: sales-bot", "to: sales-bott"))
    ended = run("check", "--json")
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["good"]) == (1, False)
    assert [(each["line"], each["column"], each["path"]) for each in document["errors"]] == [(18, 5, "routes[1].to")]


def test_a_diff_says_which_stored_events_would_be_routed_differently(run: Run, folder: Path, kept: Path) -> None:
    old, new = "routes.yaml", folder / "new.yaml"
    new.write_text(ROUTES)
    same = run("check", "--diff", old, "new.yaml", "--since", "2020-01-01")
    assert same.exit_code == 0
    assert same.stdout == "3 events since 2020-01-01T00:00:00.000Z, all routed as before\n"
    new.write_text(ROUTES.replace("otherwise: true", "match: {entity: {exists: true}}"))
    ended = run("check", "--diff", old, "new.yaml", "--since", "2020-01-01")
    assert ended.exit_code == 0
    assert "would also go to" in ended.stdout
    counted = json.loads(run("check", "--diff", old, "new.yaml", "--since", "2020-01-01", "--json").stdout)
    assert sum(counted["also"].values()) > 0
    assert counted["no_longer"] == {}
    swapped = json.loads(run("check", "--diff", "new.yaml", old, "--since", "2020-01-01", "--json").stdout)
    assert (swapped["also"], swapped["no_longer"]) == ({}, counted["also"])
    assert json.loads(run("check", "--diff", old, "new.yaml", "--since", "1s", "--json").stdout)["events"] == 0


def test_a_diff_of_a_file_and_itself_is_misuse(run: Run, folder: Path, kept: Path) -> None:
    for arguments in (["routes.yaml"], [folder / "routes.yaml", "routes.yaml"]):
        ended = run("check", "--diff", *map(str, arguments))
        assert ended.exit_code == 2
        assert "with itself: name the new file too, after it" in ended.stderr


def test_a_diff_names_the_events_and_their_routes_before_and_after(run: Run, folder: Path, kept: Path) -> None:
    (folder / "new.yaml").write_text(ROUTES.replace("status_id: 16203337}\n", "status_id: 5}\n", 1))
    compared = ("check", "--diff", "routes.yaml", "new.yaml", "--since", "2020-01-01")
    document = json.loads(run(*compared, "--json").stdout)
    assert document["changed"] == 1
    assert document["changes"] == [
        {
            "id": event_of(OFFER),
            "type": "leads.status",
            "entity_id": "4831596",
            "before": {"routes": ["offer-made"], "targets": ["sales-bot", "warehouse"]},
            "after": {"routes": ["everything-else"], "targets": ["warehouse"]},
        }
    ]
    heading, row, *_ = run(*compared).stdout.splitlines()
    assert heading.split() == ["EVENT", "TYPE", "ID", "BEFORE", "AFTER"]
    assert row.split() == [event_of(OFFER), "leads.status", "4831596", "offer-made", "everything-else"]
    assert json.loads(run("check", "--diff", "new.yaml", "-", *compared[-2:], "--json", stdin=ROUTES.encode()).stdout)[
        "changes"
    ][0]["after"] == {"routes": ["offer-made"], "targets": ["sales-bot", "warehouse"]}


def test_a_diff_of_the_same_routes_with_other_targets_names_the_targets(run: Run, folder: Path, kept: Path) -> None:
    (folder / "new.yaml").write_text(ROUTES.replace("to: [sales-bot, warehouse]", "to: [warehouse]"))
    lines = run("check", "new.yaml", "--diff", "--since", "2020-01-01").stdout.splitlines()
    assert lines[1].split("  ")[-2:] == ["offer-made (sales-bot, warehouse)", "offer-made (warehouse)"]
    assert "1 event would no longer go to sales-bot" in lines


def test_a_diff_says_which_settings_change_and_none_of_their_values(run: Run, folder: Path, kept: Path) -> None:
    edited = ROUTES.replace("https://bot.example/amocrm", "https://moved.example/canary")
    edited = edited.replace("targets:\n", "defaults: {timeout: 5s}\ntargets:\n  fresh: {url: https://new/canary}\n")
    edited = edited.replace('"Bearer ${DWH_TOKEN}"', '"Bearer canary"').replace("${DWH_SECRET}", "${MASKED_1}")
    (folder / "new.yaml").write_text(edited.replace("token: ${CRM_TOKEN}", 'token: ["${CRM_TOKEN}", "${NEXT_TOKEN}"]'))
    compared = ("check", "new.yaml", "--diff", "--since", "2020-01-01")
    said = run(*compared).stdout
    assert said.splitlines()[:5] == [
        "source crm: token changed",
        "target sales-bot: url changed",
        "target warehouse: headers changed",
        "target fresh: new",
        "defaults: new",
    ]
    document = run(*compared, "--json").stdout
    assert json.loads(document)["settings"][1] == {
        "section": "targets",
        "name": "sales-bot",
        "change": "changed",
        "settings": ["url"],
    }
    assert "canary" not in said + document


def test_files_of_this_machine_are_compared_with_its_variables(
    run: Run, folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "5")
    (folder / "new.yaml").write_text(ROUTES.replace("status_id: 16203337}\n", 'status_id: "${STAGE}"}\n', 1))
    document = json.loads(run("check", "new.yaml", "--diff", "--since", "2020-01-01", "--json").stdout)
    assert [each["after"]["routes"] for each in document["changes"]] == [["everything-else"]]


def test_without_another_file_a_diff_is_with_the_file_in_force(run: Run, folder: Path, kept: Path) -> None:
    (folder / "new.yaml").write_text(ROUTES.replace("status_id: 16203337}\n", "status_id: 5}\n", 1))
    since = "--since", "2020-01-01"
    assert (
        run("check", "new.yaml", "--diff", *since).stdout
        == run("check", "new.yaml", "--diff", "routes.yaml", *since).stdout
    )
    assert run("check", "--diff").exit_code == 2, "with itself"


def test_a_diff_of_many_events_goes_on_where_a_look_ended(
    run: Run, folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "new.yaml").write_text(ROUTES.replace("to: warehouse", "to: sales-bot").replace("[sales-bot, ", "["))
    compared = ("check", "new.yaml", "--diff", "--since", "2020-01-01", "--json")
    whole = json.loads(run(*compared).stdout)
    monkeypatch.setattr("relay.operations.diff.PAGE", 1)
    monkeypatch.setattr("relay.operations.routes.LOOK", timedelta())
    assert json.loads(run(*compared).stdout) == whole and whole["changed"] > 1


def test_a_diff_reads_well_at_80_columns(run: Run, folder: Path, kept: Path) -> None:
    compared = ("check", "--diff", "routes.yaml", "new.yaml", "--since", "2020-01-01T00:00Z")
    new = ROUTES.replace("status_id: 16203337}\n", "status_id: 5}\n", 1)
    (folder / "new.yaml").write_text(new)
    assert plain(on_terminal(*compared))[1].split()[3:] == ["offer-made", "everything-else"]
    (folder / "new.yaml").write_text(new.replace("everything-else", "everything-that-no-other-route-takes"))
    lines = plain(on_terminal(*compared))
    assert max(map(len, lines)) <= 80
    assert lines[:2] == [
        f"{event_of(OFFER)[:18]}  leads.status  4831596",
        "    offer-made → everything-that-no-other-route-takes",
    ]
    assert run("show", lines[0].split()[0]).exit_code == 0


def test_a_diff_of_many_events_lists_a_few_for_people(
    run: Run, folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.cli.check.MOST_CHANGES_SHOWN", 1)
    (folder / "new.yaml").write_text(ROUTES.replace("to: warehouse", "to: sales-bot").replace("[sales-bot, ", "["))
    said = run("check", "--diff", "routes.yaml", "new.yaml", "--since", "2020-01-01").stdout
    assert "… and 1 more: --json lists them" in said


def test_a_file_that_others_may_write_is_a_warning(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").chmod(0o666)
    said = "anybody may change this file, and so where events go: chmod go-w"
    ended = run("check")
    assert ended.stdout.splitlines()[0] == f"routes.yaml: warning {said}"
    assert (ended.exit_code, run("check", "--strict").exit_code) == (0, 1)
    assert json.loads(run("check", "--json").stdout)["warnings"] == [
        {"line": 0, "column": 0, "path": "", "message": said}
    ]


# ---- the certificate of the public listener


def test_a_pair_that_fits_is_as_good_as_none(run: Run, folder: Path) -> None:
    pair = Pair.within(folder)
    assert run("check", *flags(pair)).stdout == run("check").stdout


def test_a_pair_that_does_not_fit_fails_the_check_of_good_routes(run: Run, folder: Path) -> None:
    pair = Pair.within(folder)
    key = pair.key.read_bytes()
    pair.issue()
    pair.key.write_bytes(key)
    said = f"the file {pair.key} holds another key than that of {pair.certificate}"
    ended = run("check", *flags(pair))
    assert (ended.exit_code, ended.stdout.splitlines()[0]) == (1, f"error {said}")
    assert "routes.yaml: not good: 1 source" in ended.stdout
    document = json.loads(run("check", *flags(pair), "--json").stdout)
    assert (document["good"], [each["message"] for each in document["errors"]]) == (False, [said])


def test_the_pair_is_found_where_the_daemon_finds_it(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_TLS_CERT", str(folder / "none.pem"))
    monkeypatch.setenv("RELAY_TLS_KEY", str(folder / "none.key"))
    ended = run("check")
    said = f"error the file {folder / 'none.pem'} cannot be read: No such file or directory"
    assert (ended.exit_code, ended.stdout.splitlines()[0]) == (1, said)


def test_bad_routes_and_a_bad_pair_are_reported_together(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("to: sales-bot", "to: sales-bott"))
    pair = Pair.within(folder)
    pair.key.unlink()
    ended = run("check", *flags(pair))
    assert ended.exit_code == 1
    assert "no target 'sales-bott'" in ended.stdout
    assert f"error the file {pair.key} cannot be read: No such file or directory" in ended.stdout
    assert len(json.loads(run("check", *flags(pair), "--json").stdout)["errors"]) == 2


def test_half_a_pair_is_misuse(run: Run) -> None:
    ended = run("check", "--tls-cert", "tls.pem")
    assert (ended.exit_code, "--tls-cert and --tls-key go together" in ended.stderr) == (2, True)


def flags(pair: Pair) -> tuple[str, ...]:
    return "--tls-cert", str(pair.certificate), "--tls-key", str(pair.key)


# ---- a file that was replaced under a mount


def test_a_file_whose_newer_versions_cannot_arrive_is_a_warning(run: Run, folder: Path) -> None:
    token = folder / "token"
    token.write_text("5b1f0c9e7a3d48268e4f")
    with token.open() as mounted:
        inside = f"/proc/self/fd/{mounted.fileno()}"  # as a mount of one file does, it leads to what was there
        (folder / "routes.yaml").write_text(ROUTES.replace("${CRM_TOKEN}", f"${{file:{inside}}}"))
        assert "0 warnings" in run("check").stdout
        token.unlink()
        ended = run("check")
    said = f"{inside} was replaced where it is mounted from, and this is the old one: mount its folder"
    assert ended.stdout.splitlines()[0] == f"routes.yaml: warning {said}"
