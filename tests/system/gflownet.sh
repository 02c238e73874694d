# GFlowNets: every pipeline of card 11 in a shortened form; a run with replay and an averaged sampler that is stopped
# and goes on ends with the same bits; mistakes are refused before anything is trained.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
papers=$ROOT/examples/papers
smoke() {
  file=$1; shift
  "$tenon" check "$file" >out 2>&1 || { cat out; exit 1; }
  "$tenon" run "$file" --single --smoke --quiet "$@" >out 2>&1 || { cat out; exit 1; }
}
for loss in tb db subtb fm; do smoke "$papers/11-gflownet.ini" learn.loss=$loss exact.loss=$loss; done
smoke "$papers/11-mogfn.ini"
smoke "$papers/11-mogfn.ini" learn.loss=reinforce front.loss=reinforce
smoke "$papers/11-mogfn.ini" pipeline.stages=string_learn,string_front
smoke "$papers/11-mogfn.ini" pipeline.stages=string_learn,string_front letters.use=model.policy_transformer
smoke "$papers/11-mogfn.ini" weights.beta_draw=uniform weights_test.beta_draw=uniform
smoke "$papers/11-hypergrid-4d.ini" grid.side=4
smoke "$ROOT/examples/mix/gflownet-lion.ini"

# Stopped and gone on.
settings='learn.steps=3000 learn.replay=50 learn.sampling_average=0.9 pipeline.checkpoint_every=50'
"$tenon" run "$papers/11-gflownet.ini" --single --quiet --directory whole $settings
"$tenon" run "$papers/11-gflownet.ini" --single --quiet --directory stopped $settings 2>err &
pid=$!
until ls stopped/checkpoints/step-*.safetensors >/dev/null 2>&1 || ! kill -0 $pid; do :; done
kill -TERM $pid
code=0; wait $pid || code=$?
[ "$code" = 130 ] || { echo "exit code $code"; cat err; exit 1; }
"$tenon" resume stopped --quiet
for file in results.json params/policy.safetensors artifacts/objects.csv; do cmp "whole/$file" "stopped/$file"; done

# What does not fit.
refuse() {
  wanted=$1; shift
  code=0; "$tenon" check "$papers/11-mogfn.ini" "$@" >err 2>&1 || code=$?
  [ "$code" = 2 ] && grep -q "$wanted" err || { echo "$*: exit code $code"; cat err; exit 1; }
}
refuse "no objective 'brannin'.*did you mean 'branin'" 'grid.objectives=brannin, currin'
refuse "reads strings, which the states of 'grid' are not" learn.model=letters
refuse "has 3 objectives: give a preference" learn.preference=
refuse "'loss.cross_entropy' is not a loss of trajectories" learn.loss=loss.cross_entropy
refuse "letter 'Z' of 'AZ' is not in the alphabet" 'strings.ngrams=AZ'
refuse "log_flow" learn.loss=loss.detailed_balance
echo "note: $(ls runs | wc -l) pipelines"
