"""Each data set on a miniature tree: what is read back is what was there."""

import math
import pathlib

import pytest
from trees import plant, read_all

from facedirs_jax import datasets
from facedirs_jax.datasets import multi_pie
from facedirs_jax.errors import InputError

DIVEFACE = [
    f"4K_120/{group}4K_120/{number}@N0{number}_identity_{number}/{shot}_0.jpg"
    for number, group in enumerate(("HA", "HB", "HN", "MA", "MB", "MN"))
    for shot in range(2)
]
MEDS = ["aa/S001-01-t10_01.jpg", "aa/S001-02-t10_01.jpg", "ab/S103-01-t10_02.jpg"]
MEDS_TABLE = """\
img_dname,img_name,subject_id,enc_num,age_phd,sex,rac,hgt,wgt,label
./data/aa,S001-01-t10_01.jpg,1,1,31.94,F,W,503,145,Frontal
./data/ab,S103-01-t10_02.jpg,103,1,,M,U,0,0,Left Profile
"""
PIE = [
    "session01/multiview/001/01/05_1/001_01_01_051_07.png",
    "session01/multiview/001/02/11_0/001_01_02_110_00.png",
    "session02/multiview/002/03/19_1/002_02_03_191_19.png",
    "session04/highres/002/002_03.png",
    "session04/highres/002/002_04_01.png",
]
SIBLINGS = ["149/_DSC0564.jpg", "150/_DSC0570.jpg", "7/_DSC0001.jpg", "8/a.jpg"]
PEOPLE = ["Anna_Lind", "Bo_Ek", "Cy_Oh", "Di_Ray"]
LFW = [f"{name}/{name}_000{n}.jpg" for name in PEOPLE for n in (1, 2)]
PAIRS = """\
2\t1
Anna_Lind\t1\t2
Anna_Lind\t1\tBo_Ek\t2
Cy_Oh\t2\t1
Cy_Oh\t1\tDi_Ray\t1
"""


def built(name, source, tmp_path, **options):
    out = tmp_path / "out"
    summary = datasets.build(name, manual_dir=source, data_dir=out, **options)
    return read_all(name, summary, out)


def same_bytes(found: dict, root: pathlib.Path) -> bool:
    return all(face["image"] == (root / i).read_bytes() for i, face in found.items())


def test_image_folder_takes_labels_from_its_table(tmp_path):
    names = ["a/1.png", "a/2.jpg", "b/c/1.png"]
    source = plant(tmp_path / "in", names)
    table = tmp_path / "labels.csv"
    rows = ["a/1.png,ann,31.5,blue", "a/2.jpg,ann,,green", "b/c/1.png,bo,4,"]
    table.write_text("\ufefffile,identity,age,eyes\n" + "\n".join(rows))
    found = built("image_folder", source, tmp_path, labels_csv=str(table))
    assert sorted(found) == names and same_bytes(found, source)
    assert [found[n]["identity"] for n in names] == ["ann", "ann", "bo"]
    assert [found[n]["eyes"] for n in names] == ["blue", "green", ""]
    ages = [found[n]["age"] for n in names]
    assert ages[0] == 31.5 and math.isnan(ages[1]) and ages[2] == 4


def test_image_folder_without_a_table_goes_by_sub_folder(tmp_path):
    names = ["a/1.png", "b/c/1.png", "alone.jpg"]
    found = built("image_folder", plant(tmp_path / "in", names), tmp_path)
    assert {i: face["identity"] for i, face in found.items()} == {
        "a/1.png": "a",
        "b/c/1.png": "b/c",
        "alone.jpg": "alone.jpg",
    }


def test_diveface_reads_gender_and_ethnicity_off_the_group(tmp_path):
    source = plant(tmp_path / "in", DIVEFACE)
    found = built("diveface", source, tmp_path)
    assert len(found) == len(DIVEFACE) and same_bytes(found, source / "4K_120")
    told = {(f["group"], f["gender"], f["ethnicity"]) for f in found.values()}
    assert told == {
        ("HA", "male", "asian"),
        ("HB", "male", "caucasian"),  # blanco
        ("HN", "male", "black"),  # negro
        ("MA", "female", "asian"),
        ("MB", "female", "caucasian"),
        ("MN", "female", "black"),
    }
    one = found["HB4K_120/1@N01_identity_1/0_0.jpg"]
    assert one["identity"] == "1@N01_identity_1"


def test_meds_ii_reads_its_table_in_metric_units(tmp_path):
    source = plant(tmp_path / "in", [f"data/{name}" for name in MEDS])
    (source / "subject_metadata.csv").write_text(MEDS_TABLE)
    found = built("meds_ii", source, tmp_path)
    assert sorted(found) == MEDS and same_bytes(found, source / "data")
    known, absent, unknown = (found[name] for name in MEDS)
    assert (known["identity"], known["gender"], known["race"], known["pose"]) == (
        ("S001", "female", "white", "Frontal")
    )
    assert known["age"] == pytest.approx(31.94)
    assert known["height"] == pytest.approx(63 * 2.54)  # 5 ft 3 in
    assert known["weight"] == pytest.approx(65.77, abs=0.01)  # 145 lb
    assert (absent["gender"], absent["encounter"], absent["shot"]) == ("", 2, 1)
    assert (unknown["gender"], unknown["race"]) == ("male", "")
    assert all(math.isnan(unknown[key]) for key in ("age", "height", "weight"))


def test_multi_pie_reads_pose_light_and_expression_off_the_name(tmp_path):
    source = plant(tmp_path / "in", PIE)
    (source / "meta").mkdir()
    (source / "meta" / "subject_list.txt").write_text("001 1980 Male 1 0 0 0\n")
    found = built("multi_pie", source, tmp_path)
    assert sorted(found) == PIE and same_bytes(found, source)
    keys = ("identity", "kind", "camera", "expression", "yaw", "gender")
    assert [tuple(found[name][key] for key in keys) for name in PIE] == [
        ("001", "multiview", "05_1", "neutral", 0, "male"),
        ("001", "multiview", "11_0", "smile", -90, "male"),
        ("002", "multiview", "19_1", "squint", 45, ""),
        ("002", "highres", "", "scream", 0, ""),
        ("002", "highres", "", "neutral", 0, ""),
    ]
    lights = [(found[i]["illumination"], found[i]["flash"]) for i in PIE[:3]]
    assert lights == [(7, 7), (0, 0), (19, 0)]
    assert [found[name]["above"] for name in PIE[:3]] == [0, 0, 1]
    assert found[PIE[0]]["birth_year"] == 1980
    assert math.isnan(found[PIE[3]]["illumination"])


def test_the_cameras_of_multi_pie_are_fifteen_degrees_apart():
    level = sorted(
        yaw for camera, yaw in multi_pie.YAW.items() if camera not in multi_pie.ABOVE
    )
    assert level == [*range(-90, 91, 15)] and len(multi_pie.YAW) == 15


def test_siblings_stay_in_one_split(tmp_path):
    source = plant(tmp_path / "in", [f"DBs/HQf/{name}" for name in SIBLINGS])
    plant(source, ["DBs/HQfps/149/_DSC0565.jpg"])
    (source / "subjects.csv").write_text(
        '149\t"M"\t"x"\t28\t"y"\n150\t"f"\t"x"\t24\t"y"\n7\t"?"\t"x"\t\t"y"\n'
    )
    (source / "pairs.txt").write_text("150 149\n8 7\n")
    found = built("siblingsdb_hqf", source, tmp_path)
    assert sorted(found) == sorted(SIBLINGS)
    assert same_bytes(found, source / "DBs" / "HQf")
    keys = ("identity", "family", "gender")
    assert [tuple(found[name][key] for key in keys) for name in SIBLINGS] == [
        ("149", "149", "male"),
        ("150", "149", "female"),
        ("7", "7", ""),
        ("8", "7", ""),
    ]
    assert found[SIBLINGS[1]]["age"] == 24 and math.isnan(found[SIBLINGS[2]]["age"])
    splits = [found[name]["split"] for name in SIBLINGS]
    assert splits[0] == splits[1] and splits[2] == splits[3]


def test_lfw_is_all_test_and_keeps_its_pairs(tmp_path):
    source = plant(tmp_path / "in", [f"lfw_funneled/{name}" for name in LFW])
    (source / "pairs.txt").write_text(PAIRS)
    found = built("lfw", source, tmp_path)
    assert sorted(found) == LFW and same_bytes(found, source / "lfw_funneled")
    assert {face["split"] for face in found.values()} == {"test"}
    kept = datasets.read_pairs(tmp_path / "out" / "lfw" / "1.0.0" / "pairs.txt")
    assert [(pair.same, pair.fold) for pair in kept] == [
        (True, 0),
        (False, 0),
        (True, 1),
        (False, 1),
    ]
    assert kept[1].first == LFW[0] and kept[1].second == LFW[3]
    assert all(i in found for pair in kept for i in pair[:2])


def test_pairs_without_folds_are_fold_0(tmp_path):
    path = tmp_path / "pairsDevTrain.txt"
    path.write_text("1\nAnna_Lind\t1\t2\nAnna_Lind\t1\tBo_Ek\t12\n")
    first, second = datasets.read_pairs(path)
    assert first.same and (first.fold, second.fold) == (0, 0)
    assert second.second == "Bo_Ek/Bo_Ek_0012.jpg"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line"),
        ("x y z\n", "first line"),
        ("1\nA 1 2\n", "has 1 pairs, not 1 x 2 x 1"),
        ("1\nA 1 2 3\nA 1 B 2\n", "line 2 is no pair"),
        ("1\nA 1 2\nA 1 B\n", "line 3 is no pair"),
        ("1\nA\nA 1 B 2\n", "line 2 is no pair"),
    ],
)
def test_a_damaged_file_of_pairs_is_refused(tmp_path, text, said):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(InputError, match=said):
        datasets.read_pairs(tmp_path / "pairs.txt")


def test_pairs_of_absent_pictures_are_refused(tmp_path):
    source = plant(tmp_path / "in", [f"lfw/{name}" for name in LFW[:4]])
    (source / "pairs.txt").write_text(PAIRS)
    with pytest.raises(
        InputError, match=r"pairs.txt: 3 problems.*\n  Cy_Oh/Cy_Oh_0001"
    ):
        built("lfw", source, tmp_path)


def test_rendered_faces_need_their_table(tmp_path):
    source = plant(tmp_path / "in", ["images/000000.png"])
    with pytest.raises(InputError, match=r"factors\.csv: cannot be read"):
        built("rendered", source, tmp_path)
    (source / "factors.csv").write_text(
        "file,identity,condition,split\nimages/000000.png,3,frontal,train\n"
    )
    with pytest.raises(InputError, match=r"no column gender, .*render_faces"):
        built("rendered", source, tmp_path)


OF_FIXED_NAMES = [n for n in datasets.DATASETS if n not in ("image_folder", "rendered")]


@pytest.mark.parametrize("name", OF_FIXED_NAMES)
def test_a_wrong_tree_is_refused_with_what_was_expected(tmp_path, name):
    source = plant(tmp_path / "in", ["other/picture.png"])
    with pytest.raises(InputError, match=r"expected .*found other/picture.png"):
        built(name, source, tmp_path)


@pytest.mark.parametrize(
    ("name", "tree", "file", "text", "said"),
    [
        ("multi_pie", PIE, "meta/subject_list.txt", "001;1980;Male", "line 1 is not"),
        ("siblingsdb_hqf", SIBLINGS, "subjects.csv", "a,b,c,d", "line 1 is not number"),
        ("siblingsdb_hqf", SIBLINGS, "pairs.txt", "1 2 3", "not two numbers"),
        ("meds_ii", MEDS, "m.csv", MEDS_TABLE + "x,y\n", "line 4 is cut short"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path, name, tree, file, text, said):
    source = plant(tmp_path / "in", tree)
    (source / file).parent.mkdir(exist_ok=True)
    (source / file).write_text(text)
    with pytest.raises(InputError, match=f"{file}: {said}|{file}.*{said}"):
        built(name, source, tmp_path)


def test_two_roots_are_refused(tmp_path):
    source = plant(tmp_path / "in", [f"lfw/{LFW[0]}", f"lfw_funneled/{LFW[0]}"])
    with pytest.raises(InputError, match="holds lfw and lfw_funneled; name one"):
        built("lfw", source, tmp_path)
