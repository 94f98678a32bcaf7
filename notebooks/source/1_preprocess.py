# %% [markdown]
# # 1. Faces
#
# Finds the faces of two people in two videos and saves them, aligned, as two face sets: *a*, whose face is replaced, and *b*, whose face is put in. Then come `2_train` and `3_generate`, in the same folder.
#
# Swap the face of nobody who has not agreed to it: ask **both** people shown, and say what the video is for. Whatever is written carries content credentials that say it is AI-generated.

# %% include install

# %% [markdown]
# ## Settings
#
# Upload two videos with Colab's file browser and write their names here. Left empty, two rendered people are made, and everything runs without any upload. To keep the work when the runtime is taken away, mount Drive first (`from google.colab import drive; drive.mount('/content/drive')`) and give `WORK` a folder there.
#
# A minute of each person, turning the head and speaking, in light like that of the other video, is a good start.

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job, the same in all three notebooks
VIDEO = ''  # the video whose face is replaced; '' for a rendered one
FACE = ''  # a video or a folder of pictures of the person put in; '' for a rendered one
PERSON = None  # a picture of whom to replace in VIDEO, where there are several people
FACE_TYPE = 'full'  # half, mid, full, whole_face or head
SIZE = 256  # side of the saved pictures, in pixels
DEMO_FRAMES = {'a': 96, 'b': 240}  # of the rendered videos
DEMO_SIZE = 256

# %%
import json
from pathlib import Path

from dfjax.apps.demo import render_videos

work = Path(WORK)
work.mkdir(parents=True, exist_ok=True)
demo = not (VIDEO and FACE)
if demo and (VIDEO or FACE):
    raise SystemExit('Give both VIDEO and FACE, or neither.')
if demo and not (work / 'mask.mp4').is_file():
    render_videos(work, DEMO_FRAMES, DEMO_SIZE)
inputs = {'video': str(work / 'video.mp4'), 'face': str(work / 'face.mp4')} if demo else {'video': VIDEO, 'face': FACE}
(work / 'inputs.json').write_text(json.dumps(inputs | {'demo': demo, 'face_type': FACE_TYPE}))
inputs

# %% [markdown]
# ## Find the faces
#
# All cores search. Where each face of the video is, is kept for the last notebook. Run again with other settings, this replaces the face sets.

# %%
from dfjax.apps.extract import extract_faces
from dfjax.data.faces.analyse import analyse
from dfjax.data.media.progress import bar

with bar('faces of the video') as tick:
    faces = analyse(inputs['video'], person=PERSON, progress=tick)
faces.save(work / 'into.jsonl')
look = {'face_type': FACE_TYPE, 'size': SIZE, 'force': True}
reports = {
    'a': extract_faces([inputs['video']], work / 'faces_a', analyses=[faces], **look),
    'b': extract_faces([inputs['face']], work / 'faces_b', **look),
}
reports

# %% [markdown]
# ## Look at them
#
# The pictures lie in `faces_a` and `faces_b`: deleting one takes that face out of the training. `check_faces` names those that are of no use.

# %%
from IPython.display import Image, display

from dfjax.apps.check import check_faces

for side in 'ab':
    display(Image(str(work / f'faces_{side}' / 'contact_sheet.jpg')))
    print(side, check_faces(work / f'faces_{side}'))
