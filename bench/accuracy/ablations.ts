/** One change of a method's recipe: what is left out, or what of the published definition is added. */
export interface Ablation {
  readonly name: string;
  /** As `--set` takes them. */
  readonly set: readonly string[];
}

const change = (name: string, ...set: string[]): Ablation => ({ name, set });

/** Where ablations are run: small data and the short preset. */
export const ABLATION_DATA: Readonly<Record<string, string>> = {
  dscdan: "digits:train",
  ebse: "digits:train",
  udll: "../shared/data/coil20.npz",
};

/** One term at a time, by method. A weight of 0 switches a term off; a phase of 0 epochs goes with all its terms. */
export const ABLATIONS: Readonly<Record<string, readonly Ablation[]>> = {
  dscdan: [
    change("no change"),
    change("without mutual information (no pretraining)", "pretraining.epochs=0"),
    change("without self-training on soft labels", "joint.rounds=0"),
    change("without augmented views", "augmentation=none"),
    change("K eigenvectors", "eigenvectors=clusters"),
    change("2 K weighed eigenvectors", "eigenvectors=diffusion"),
    change("with reconstruction", "pretraining.reconstruction=0.05"),
    change("with local information", "pretraining.localInformation=1"),
    change("with the prior", "pretraining.prior=0.01"),
    change("with the spectral loss in the joint phase", "joint.spectral=1"),
    change("with the coding rate", "antiCollapse=0.1"),
  ],
  ebse: [
    change("no change"),
    change("without self-supervision before", "warmup.epochs=0"),
    change("without self-expression in the joint phase", "joint.selfExpression=0"),
    change("without soft labels in the joint phase", "joint.assignment=0"),
    change("with self-supervision in the joint phase", "joint.information=1"),
    change("without the joint phase", "joint.epochs=0"),
    change("without the head's own phase", "head.epochs=0"),
    change("without refinement of coefficients", "energy.refinements=0"),
    change("without absolute values in the elastic net", "energy.lambda=0"),
    change("coefficients below 0 tie, too", "ties=both"),
    change("without the queue", "queue=0"),
    change("without augmented views", "augmentation=none"),
    change("K eigenvectors", "eigenvectors=clusters"),
    change("the most even of K to K + 4 eigenvectors", "eigenvectors=balance"),
    change("Gibbs minimiser", "energy.minimiser=gibbs"),
    change("with the coding rate", "antiCollapse=0.1"),
  ],
  udll: [
    change("no change"),
    change("without pretraining", "pretraining.epochs=0"),
    change("without reconstruction", "fineTuning.reconstruction=0"),
    change("without the coefficients' norm", "fineTuning.coefficients=0"),
    change("without self-expression", "fineTuning.selfExpression=0"),
    change("without locality", "fineTuning.locality=0"),
    change("plain affinity", "affinity.form=plain"),
    change("one affinity, not their mean", "fineTuning.first=40"),
    change("K eigenvectors", "eigenvectors=clusters"),
    change("2 K weighed eigenvectors", "eigenvectors=diffusion"),
    change("rotation in place of k-means", "assignment=discretise", "eigenvectors=20"),
  ],
};

/** What the notes of ablation rows begin with: their table is another one. */
export const ABLATION = "ablation: ";
