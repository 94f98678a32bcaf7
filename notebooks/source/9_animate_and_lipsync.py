# %% [markdown]
# # 9. Make a picture move and speak
#
# Both at once, without any training: a photograph, a painting or a rendered head moves like the face of a video, and says what a sound says.

# %% include consent

# %% include install

# %% include place

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job
DRIVE = False  # @param {type: 'boolean'}
PICTURE = ''  # '' for a rendered head
DRIVING = 'talk:7:2'  # a video whose face moves it, or talk:SEED:SECONDS without one
SOUND = ''  # what it says; '' for a synthesised voice

# %% include device

# %% include drive

# %%
from IPython.display import Video, display

from dfjax.apps.animate import animate
from dfjax.data.media.image import write_image
from dfjax.data.render import animate as motion
from dfjax.data.render import random_identity, render

picture = given(PICTURE, 'The picture:')
if not picture:
    picture = str(work / 'head.png')
    write_image(picture, render(random_identity(77), motion(77, 1), 256).image[0])
moving = work / 'moving.mp4'
display(animate(picture, DRIVING, moving, force=True))
display(Video(str(moving), embed=True, html_attributes='controls loop'))

# %% [markdown]
# ## And speak

# %%
import wave

import numpy as np

from dfjax.apps.lipsync import lipsync
from dfjax.data.render.speech import RATE, speak

sound = given(SOUND, 'The sound:')
if not sound:
    sound = str(work / 'voice.wav')
    samples = speak(5, 2.0).sound
    with wave.open(sound, 'wb') as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype('<i2').tobytes())
speaking = work / 'speaking.mp4'
display(lipsync(picture, sound, speaking, force=True))
display(Video(str(speaking), embed=True, html_attributes='controls'))
