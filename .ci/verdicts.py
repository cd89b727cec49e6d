#!/usr/bin/env python3
"""Reads what ctest wrote (JUnit) and says a line a test: passed, failed or skipped, a tab, its name.

verdicts.py RESULTS.xml TESTS.json MUST_NOT_SKIP

TESTS.json is from ctest --show-only=json-v1, for the labels. A test with a label of MUST_NOT_SKIP (a,b) that skipped
has failed, and so has one that never started. The output of what failed follows it, as "output" lines.
"""
import json
import sys
import xml.etree.ElementTree as ElementTree


def labels_of(path):
    labels = {}
    with open(path, encoding="utf-8") as file:
        for test in json.load(file)["tests"]:
            for field in test.get("properties", []):
                if field["name"] == "LABELS":
                    labels[test["name"]] = set(field["value"])
    return labels


def main():
    results, tests, must_not_skip = sys.argv[1:4]
    labels = labels_of(tests)
    strict = set(must_not_skip.split(",")) - {""}
    cases = ElementTree.parse(results).getroot().findall("testcase")
    for case in cases:
        name = case.get("name")
        skipped = case.find("skipped")
        why = ""
        if case.get("status") == "run":
            verdict = "passed"
        elif skipped is not None and skipped.get("message", "").startswith("SKIP_RETURN_CODE"):
            verdict = "skipped"
            if labels.get(name, set()) & strict:
                verdict = "failed"
                why = "skipped, on a machine where it can run"
        else:
            verdict = "failed"
            failure = case.find("failure") if skipped is None else skipped
            why = failure.get("message", "") if failure is not None else ""
        print(f"{verdict}\t{name}")
        if verdict == "failed":
            output = case.findtext("system-out") or ""
            print(f"output\t{name}: {why}")
            for line in output.splitlines()[-120:]:
                print(f"output\t  {line}")
    # ctest that found nothing to run is a mistake of ours.
    return 0 if cases else 1


sys.exit(main())
