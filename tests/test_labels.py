"""Labels of pictures from CSV files and lists, however crooked, and which rows do not fit."""

import numpy as np
import pytest

from dfjax.data.media.image import write_image
from dfjax.data.sets.labels import read_labels
from dfjax.data.sets.open import open_dataset
from dfjax.errors import InputError

NAMES = ['a/1.jpg', 'a/2.jpg', 'a/3.jpg', 'b/4.jpg']


def read(tmp_path, text: str, names=NAMES) -> dict[str, list[bool]]:
    path = tmp_path / 'labels.csv'
    path.write_text(text)
    return {k: v.tolist() for k, v in read_labels(path, names).items()}


def test_a_table_as_celebas(tmp_path):
    text = '\ufeffimage_id,Smiling,Male\n3.jpg,1,-1\n1.jpg,-1,-1\n2.jpg, 1,1\n4.jpg,-1,1\n'
    assert read(tmp_path, text) == {'Smiling': [False, True, True, False], 'Male': [False, True, False, True]}


def test_names_may_be_paths_or_stems_and_other_columns_are_left(tmp_path):
    text = 'split,smile,file,width\ntrain,0,a/1,17\ntrain,1,a/2,18\ntest,TRUE,a/3,19\ntest,false,b/4,20\n'
    assert read(tmp_path, text) == {'smile': [False, True, True, False]}
    text = 'id,smile\na/1.jpg,0\nb/1.jpg,1\n'  # names that are alike but for the folder
    assert read(tmp_path, text, ['a/1.jpg', 'b/1.jpg']) == {'smile': [False, True]}


@pytest.mark.parametrize(
    'data',
    [
        b'file;smile\r\n1.jpg;1\r\n2.jpg;0\r\n3.jpg;0\r\n4.jpg;1\r\n',
        b'file\tsmile\n1.jpg\t1.0\n2.jpg\t0.0\n3.jpg\t0.0\n4.jpg\t1.0\n',
        '\ufefffile,smile\r\n1.jpg,yes\r\n2.jpg,no\r\n3.jpg,No\r\n4.jpg,YES\r\n'.encode('utf-16'),
        'file,smile,ort\n1.jpg,1,Köln\n2.jpg,0,Köln\n3.jpg,0,Ulm\n4.jpg,1,Ulm\n'.encode('cp1252'),
        b'file,smile,,\n1.jpg,1,,\n2.jpg,0,,\n3.jpg,0,\n4.jpg,1,,\n,,,\n\n',
        b'"file" , "smile"\na\\1.jpg, 1\n./a/2.jpg, 0\na/3.jpg, 0\nb\\4.jpg, 1\n',
    ],
    ids=['semicolons', 'tabs', 'utf-16', 'cp1252', 'empty cells', 'windows'],
)
def test_crooked_tables(data, tmp_path):
    (tmp_path / 'labels.csv').write_bytes(data)
    labels = {k: v.tolist() for k, v in read_labels(tmp_path / 'labels.csv', NAMES).items()}
    assert labels == {'smile': [True, False, False, True]}


def test_celebas_own_list_and_stray_files(tmp_path):
    """As its archives unpack: the list of all pictures, of which some are there, beside lists of other things."""
    for n in (1, 2, 4):
        write_image(tmp_path / 'img_align_celeba' / f'{n:06d}.jpg', np.full((40, 32, 3), 50 * n, np.uint8))
    rows = ''.join(f'{n:06d}.jpg {" -1" if n % 2 else "  1"}  1\n' for n in range(1, 8))
    (tmp_path / 'Anno').mkdir()
    (tmp_path / 'Anno' / 'list_attr_celeba.txt').write_text(f'7\nSmiling Young \n{rows}')
    (tmp_path / 'img_align_celeba' / '._000001.jpg').write_bytes(b'stray')
    (tmp_path / 'img_align_celeba' / 'Thumbs.db').write_bytes(b'stray')
    source = open_dataset(str(tmp_path / 'img_align_celeba'), 32)
    assert {k: v.tolist() for k, v in source.labels.items()} == {'Smiling': [False, True, True], 'Young': [True] * 3}
    for name in ('list_eval_partition.csv', '.~lock.labels.csv', 'list_attr_celeba.csv'):
        (tmp_path / 'img_align_celeba' / name).write_text('image_id,Male\n000001.jpg,1\n000002.jpg,0\n000004.jpg,0\n')
    source = open_dataset(str(tmp_path / 'img_align_celeba'), 32)
    assert {k: v.tolist() for k, v in source.labels.items()} == {'Male': [True, False, False]}


def test_tables_that_do_not_fit_say_which_rows(tmp_path):
    rows = '1.jpg,1\n2.jpg,0\n3.jpg,1\n4.jpg,0\n'
    cases = [
        (r'1 row \(6\) without a picture, as 9.jpg', f'file,smile\n{rows}9.jpg,1\n'),
        (r'1 row \(6\) without a picture, as 9.jpg,1 8.jpg', f'file,smile\n{rows}"9.jpg,1\n8.jpg",0\n'),
        (r'1 picture \(4.jpg\) without a row', 'file,smile\n' + rows.replace('4.jpg,0\n', '')),
        (r'2 rows \(6, 7\) for a picture that has one already', f'file,smile\n{rows}1.jpg,1\n3.jpg,0\n'),
        (r"1 row \(3\) with another 'smile' than -1 and 1", 'file,smile\n' + rows.replace('2.jpg,0', '2.jpg,7')),
        (r'1 row \(4\) not as long as the first line', 'file,smile\n' + rows.replace('3.jpg,1', '3.jpg')),
        ("several columns are called 'smile'", 'file,smile,smile\n1.jpg,1,0\n2.jpg,0,0\n3.jpg,1,0\n4.jpg,0,0\n'),
        ('no column has the names of the pictures beside it, as a/1.jpg', 'file,smile\nx,1\ny,0\n'),
        ('no column of labels', 'file,width\n' + rows.replace(',1', ',12').replace(',0', ',13')),
        ('no rows', 'file,smile\n'),
        ('no rows', ''),
    ]
    for message, text in cases:
        with pytest.raises(InputError, match=f'labels.csv: {message}') as caught:
            read(tmp_path, text)
        assert '\n' not in str(caught.value)


def test_a_folder_with_a_table(tmp_path, capsys):
    for n in range(1, 5):
        write_image(tmp_path / 'img' / f'{n}.png', np.full((40, 30, 3), 10 * n, np.uint8))
    (tmp_path / 'img' / '2.png').write_bytes(b'nothing')
    (tmp_path / 'labels.csv').write_text('image_id,smile\n1.png,1\n2.png,1\n3.png,-1\n4.png,1\n')
    source = open_dataset(str(tmp_path), 32)
    assert source.labels['smile'].tolist() == [True, False, True]  # of 1, 3 and 4
    assert '1 of 4 pictures' in capsys.readouterr().err
    (tmp_path / 'other.csv').write_text('x\n')
    with pytest.raises(InputError, match=r'several CSV files \(labels.csv, other.csv\)'):
        assert open_dataset(str(tmp_path), 32).labels
    (tmp_path / 'list_attr_celeba.csv').write_text((tmp_path / 'labels.csv').read_text().replace('smile', 'Smiling'))
    assert list(open_dataset(str(tmp_path), 32).labels) == ['Smiling']
